//! Where each of Microsoft's clouds has its login authority and its APIs.
//!
//! **The host is not the audience.** A base URL says where requests go, an audience says whom a token is for, and they are
//! two settings of a profile, because they differ in fact: one host serves two APIs with two audiences (contract
//! section 1.1). The presets here are what a profile starts from; every value can be overridden.
//!
//! Microsoft documents the Defender hosts of the US government clouds but not the audiences of their tokens (contract
//! section 1.2). The presets assume the host itself, which is what public tools for these clouds send; such entries are
//! marked [`ApiHost::assumed`], so that `sortie check` and error hints can say so.

use crate::Api;
use std::borrow::Cow;

/// One of Microsoft's clouds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cloud {
    /// Its name in a profile: `public`, `gcc`, `gcc-high`, `dod`, `china`, `custom`.
    pub name: &'static str,
    /// The login authority without a tenant; empty in the custom cloud.
    pub authority: &'static str,
    /// The APIs that are documented for it. An API that is missing here needs its base URL and audience in the
    /// profile.
    pub apis: &'static [ApiHost],
}

/// Where an API is, and for whom its tokens are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiHost {
    /// The API.
    pub api: Api,
    /// The base URL, to which the paths of calls are appended; without a trailing slash.
    pub base_url: Cow<'static, str>,
    /// The audience: the resource that a token is requested for, without `/.default`.
    pub audience: Cow<'static, str>,
    /// The audience is not documented for this cloud but assumed to equal the host.
    pub assumed: bool,
}

const fn host(api: Api, base_url: &'static str, audience: &'static str, assumed: bool) -> ApiHost {
    ApiHost { api, base_url: Cow::Borrowed(base_url), audience: Cow::Borrowed(audience), assumed }
}

const PUBLIC_AUTHORITY: &str = "https://login.microsoftonline.com";
const US_AUTHORITY: &str = "https://login.microsoftonline.us";

const PUBLIC_GRAPH: ApiHost =
    host(Api::GRAPH, "https://graph.microsoft.com/v1.0", "https://graph.microsoft.com", false);

/// GCC High and DoD share their Defender hosts.
const GOV_XDR: ApiHost =
    host(Api::DEFENDER_XDR, "https://api-gov.security.microsoft.us/api", "https://api-gov.security.microsoft.us", true);
const GOV_ENDPOINT: ApiHost = host(
    Api::DEFENDER_ENDPOINT,
    "https://api-gov.securitycenter.microsoft.us/api",
    "https://api-gov.securitycenter.microsoft.us",
    true,
);

impl Cloud {
    /// The worldwide cloud.
    pub const PUBLIC: Self = Self {
        name: "public",
        authority: PUBLIC_AUTHORITY,
        apis: &[
            PUBLIC_GRAPH,
            host(
                Api::DEFENDER_XDR,
                "https://api.security.microsoft.com/api",
                "https://api.security.microsoft.com",
                false,
            ),
            host(
                Api::DEFENDER_ENDPOINT,
                "https://api.securitycenter.microsoft.com/api",
                "https://api.securitycenter.microsoft.com",
                false,
            ),
        ],
    };

    /// US Government Community Cloud: login and Graph of the public cloud, Defender hosts of its own.
    pub const GCC: Self = Self {
        name: "gcc",
        authority: PUBLIC_AUTHORITY,
        apis: &[
            PUBLIC_GRAPH,
            host(
                Api::DEFENDER_XDR,
                "https://api-gcc.security.microsoft.us/api",
                "https://api-gcc.security.microsoft.us",
                true,
            ),
            host(
                Api::DEFENDER_ENDPOINT,
                "https://api-gcc.securitycenter.microsoft.us/api",
                "https://api-gcc.securitycenter.microsoft.us",
                true,
            ),
        ],
    };

    /// US Government Community Cloud High (L4).
    pub const GCC_HIGH: Self = Self {
        name: "gcc-high",
        authority: US_AUTHORITY,
        apis: &[
            host(Api::GRAPH, "https://graph.microsoft.us/v1.0", "https://graph.microsoft.us", false),
            GOV_XDR,
            GOV_ENDPOINT,
        ],
    };

    /// US Department of Defense (L5).
    pub const DOD: Self = Self {
        name: "dod",
        authority: US_AUTHORITY,
        apis: &[
            host(Api::GRAPH, "https://dod-graph.microsoft.us/v1.0", "https://dod-graph.microsoft.us", false),
            GOV_XDR,
            GOV_ENDPOINT,
        ],
    };

    /// China, operated by 21Vianet. Its Graph has no security incidents and no Defender API is documented for it; of
    /// the two documented authorities the one of the newer page is taken.
    pub const CHINA: Self = Self {
        name: "china",
        authority: "https://login.partner.microsoftonline.cn",
        apis: &[host(
            Api::GRAPH,
            "https://microsoftgraph.chinacloudapi.cn/v1.0",
            "https://microsoftgraph.chinacloudapi.cn",
            false,
        )],
    };

    /// No preset at all: authority, base URLs and audiences come from the profile.
    pub const CUSTOM: Self = Self { name: "custom", authority: "", apis: &[] };

    /// All of them, in the order a list shows them.
    pub const ALL: &'static [Self] = &[Self::PUBLIC, Self::GCC, Self::GCC_HIGH, Self::DOD, Self::CHINA, Self::CUSTOM];

    /// The cloud of this name.
    pub fn named(name: &str) -> Option<&'static Self> {
        Self::ALL.iter().find(|cloud| cloud.name == name)
    }

    /// Where this cloud has an API, if that is documented.
    pub fn api(&self, api: &Api) -> Option<&'static ApiHost> {
        self.apis.iter().find(|host| host.api == *api)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_preset_is_well_formed() {
        for cloud in Cloud::ALL {
            assert_eq!(Cloud::named(cloud.name), Some(cloud));
            for host in cloud.apis {
                assert_eq!(cloud.api(&host.api), Some(host));
                assert!(host.base_url.starts_with("https://") && !host.base_url.ends_with('/'), "{host:?}");
                assert!(!host.audience.ends_with('/') && !host.audience.ends_with(".default"), "{host:?}");
                assert!(host.base_url.starts_with(host.audience.as_ref()), "{host:?}");
            }
        }
        assert_eq!(Cloud::named("germany"), None);
    }

    #[test]
    fn only_undocumented_audiences_are_marked() {
        for cloud in Cloud::ALL {
            for host in cloud.apis {
                let government = host.base_url.contains(".us/api");
                assert_eq!(host.assumed, government, "{} {}", cloud.name, host.api);
            }
        }
    }

    #[test]
    fn the_contract_lists_every_host() {
        let folder = std::env::var_os("SORTIE_CONTRACT_DIR").map_or_else(
            || std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/contract"),
            Into::into,
        );
        let Ok(contract) = std::fs::read_to_string(folder.join("README.md")) else {
            println!("skipped: no contract folder");
            return;
        };
        for cloud in Cloud::ALL {
            let urls = cloud.apis.iter().map(|host| host.base_url.as_ref()).chain([cloud.authority]);
            for url in urls.filter(|url| !url.is_empty()) {
                let host = url.trim_start_matches("https://").split('/').next().unwrap();
                assert!(contract.contains(host), "{host}");
            }
        }
    }
}

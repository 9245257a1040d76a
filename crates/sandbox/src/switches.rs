//! One switch for each thing that Microsoft's documentation leaves open or says in two ways, and for what a test wants to turn on and off.
//!
//! A client must be right under every reading, so nothing here is a guess that hides in the code: the default is named on each field, with the section of
//! the contract that leaves it open. Switches may change while the sandbox runs ([`crate::Control::switch`]).

use serde::{Deserialize, Serialize};

/// What the service does with a `$top` above its maximum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum TopRule {
    /// 400 above 50 (reported for incidents).
    Refuse50,
    /// The page is cut to 50 in silence.
    Clamp50,
    /// The page is cut to 1000 in silence (reported for alerts_v2 and incidents).
    Clamp1000,
}

/// By which time the newest-first order of a list goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Newest {
    /// By creation: a change does not move an item.
    Created,
    /// By last update: a change moves an item to the top.
    Updated,
}

/// What a continuation (`$skiptoken`) remembers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Continuation {
    /// The last item sent: writes between pages neither repeat nor hide items (but for items that move in the order).
    Key,
    /// A number of items: writes between pages shift them.
    Offset,
}

/// Whether an option that no page documents is obeyed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Undocumented {
    /// It does what OData says.
    Obey,
    /// It is passed over.
    Ignore,
    /// 400.
    Refuse,
}

/// How Graph spells determinations on reading (enums.json, `determination_crosswalk`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum GraphSpelling {
    /// As the CSDL: `compromisedAccount`, `notMalicious`, ...
    Csdl,
    /// As the older reference pages: `compromisedUser`, `clean`, `insufficientData`, `confirmedUserActivity`.
    Pages,
    /// As the examples of the incident pages: the CSDL members with a capital first letter (`TruePositive`, `Active`).
    Pascal,
}

/// How Defender XDR spells determinations on reading (enums.json, `determination_crosswalk`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum XdrSpelling {
    /// As the incident resource page: `CompromisedUser`, `Clean`, `InsufficientData`, `ConfirmedUserActivity`.
    Resource,
    /// As the update page: `CompromisedAccount`, `Clean`, `NoEnoughDataToValidate`, `ConfirmedActivity`.
    Update,
}

/// Which pairs of classification and determination an update may set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Pairs {
    /// Any.
    Any,
    /// Those of the table by classification.
    Table,
    /// A determination only with `truePositive`.
    TruePositiveOnly,
}

/// What a repeat of a machine action does while one of the same type is pending or running on that machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Duplicate {
    /// 400 "Action is already in progress".
    Refuse,
    /// 201 with the action that is in progress; nothing new happens.
    ReturnPending,
    /// 201 with a second action.
    Second,
}

/// Where a Defender XDR 429 says when calls may begin again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum XdrRetry {
    /// As an ISO 8601 time inside the message text.
    TimeInMessage,
    /// As a number of seconds inside the message text.
    SecondsInMessage,
    /// As an ISO 8601 time in a member `retryAfter` of the error object.
    TimeInField,
    /// In a `Retry-After` header too, in seconds.
    Header,
}

/// The key of an incident comment's author and time on Graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CommentKeys {
    /// `createdByDisplayName`, `createdDateTime` (CSDL and comment pages).
    Csdl,
    /// `createdBy`, `createdTime` (examples of the incident pages).
    Examples,
}

/// All switches. `Switches::default()` is one reading of the documentation: strict where it speaks, and with throttling off; each field says what it
/// stands for by default.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Switches {
    // ---- all surfaces
    /// Enforce the documented request limits. Default off; `sortie sandbox` turns it on.
    pub throttle: bool,
    /// Compress answers for clients that accept gzip. Default on.
    pub gzip: bool,
    /// Answers shorter than this many bytes are not compressed. Default 256.
    pub gzip_minimum: usize,
    /// The newest-first order (contract 6.3, SILENT). Default by creation.
    pub newest: Newest,
    /// Filter functions such as `startswith` (no page lists them for these resources). Default refused with 400.
    pub filter_functions: bool,
    /// Enum literals and members in filters match whatever their case. Default exact.
    pub filter_enum_any_case: bool,

    // ---- Entra
    /// `expires_in` of tokens, seconds. Default 3599.
    pub token_seconds: i64,
    /// Send `ext_expires_in` (contract section 2). Default off.
    pub token_ext_expires_in: bool,
    /// Send `refresh_in`, seconds. Default none.
    pub token_refresh_in: Option<i64>,
    /// Status of errors about the credential (contract section 2: 400 in the docs, 401 seen). Default 400.
    pub credential_error_status: u16,
    /// Managed identity sends `expires_in` and `expires_on` as text. Default on.
    pub identity_text_times: bool,
    /// Accept RS256 and `x5t` beside PS256 and `x5t#S256` (contract section 2, DISAGREE). Default on.
    pub assertion_rs256: bool,
    /// Defender XDR accepts tokens for the Defender for Endpoint audience (contract 1.1, DISAGREE). Default off.
    pub xdr_accepts_endpoint_audience: bool,
    /// Defender for Endpoint accepts tokens for the Defender XDR audience (contract 1.1, SILENT). Default off.
    pub endpoint_accepts_xdr_audience: bool,

    // ---- Graph
    /// `$top` above the maximum on incidents and alerts (contract section 4 and 4.5, SILENT). Default 400 above 50.
    pub graph_top: TopRule,
    /// Greatest `$skip`; above it 400 (contract 4.5). Default 500.
    pub graph_skip_limit: u64,
    /// Page size without `$top`. Default 50.
    pub graph_default_page: usize,
    /// Send `@odata.nextLink` on incident lists. Default on.
    pub graph_next_links: bool,
    /// Send `@odata.nextLink` on alert lists (contract 4.5: may be absent). Default on.
    pub graph_alert_next_links: bool,
    /// What a continuation remembers. Default the last item.
    pub graph_continuation: Continuation,
    /// `$orderby` (not documented, reported to be obeyed, contract 4.5). Default obeyed.
    pub graph_orderby: Undocumented,
    /// `$select` (not documented, seen in public code, contract 4.5). Default obeyed.
    pub graph_select: Undocumented,
    /// `$search` and any other `$` option (not documented). Default 400.
    pub graph_other_options: Undocumented,
    /// Spelling of determinations, and of all enum values with [`GraphSpelling::Pascal`]. Default CSDL.
    pub graph_spelling: GraphSpelling,
    /// Keys of comments inside an incident (contract 4.1). Default CSDL.
    pub graph_comment_keys: CommentKeys,
    /// The tag list is called `tags`, as in one example, instead of `customTags` (contract 4.1). Default off.
    pub graph_tags_key: bool,
    /// Incidents carry `@odata.type` without `.security`, as in the Get and Update examples (contract section 3). Default off.
    pub graph_short_odata_type: bool,
    /// PATCH accepts `resolvingComment`, `displayName`, `summary` and `description` (contract 4.1, unverified). Default on.
    pub graph_patch_texts: bool,
    /// PATCH accepts enum values whatever their case, as the documented request example suggests (`TruePositive`). Default on.
    pub graph_patch_any_case: bool,
    /// Pairs of classification and determination on PATCH (contract 4.1: nothing said). Default any.
    pub graph_pairs: Pairs,
    /// Updates and comments on a redirected incident are refused with 409 (contract 4.4, SILENT). Default off.
    pub refuse_redirected_update: bool,
    /// A comment body must name its `@odata.type` (contract section 4). Default off.
    pub comment_needs_type: bool,
    /// `$expand=alerts` needs an alert permission too (SILENT). Default off.
    pub expand_needs_alert_permission: bool,
    /// An incident whose `$expand=alerts` fails in lists fails alone as well (contract 4.5: alone it works). Default off.
    pub expand_failure_hits_single: bool,

    // ---- Defender XDR
    /// Send `@odata.nextLink` (contract section 3, SILENT). Default off.
    pub xdr_next_links: bool,
    /// Options other than `$filter`, `$top`, `$skip`. Default 400.
    pub xdr_other_options: Undocumented,
    /// Page size without `$top` (SILENT). Default 100.
    pub xdr_default_page: usize,
    /// Spelling of determinations on reading. Default as the resource page.
    pub xdr_spelling: XdrSpelling,
    /// Pairs of classification and determination on PATCH (contract 6.1, DISAGREE). Default the table.
    pub xdr_pairs: Pairs,
    /// Where a 429 says when to come back (contract section 3, format SILENT). Default as a time in the message.
    pub xdr_retry: XdrRetry,
    /// The device id key is `DeviceId`, as in the table, instead of `mdatpDeviceId` as in the sample (contract 6.2). Default off.
    pub xdr_device_id_key: bool,
    /// The comment time is `createTime`, as on the resource page, instead of `createdTime` as in the samples (contract 6.2). Default off.
    pub xdr_create_time_key: bool,
    /// Unclassified incidents have null classification and determination instead of `Unknown` and `NotAvailable` (contract 6.2). Default off.
    pub xdr_null_classification: bool,
    /// Alerts show status `Active` for work in progress, as the table says, instead of `InProgress` as in the sample (contract 6.2). Default off.
    pub xdr_alert_active: bool,

    // ---- Defender for Endpoint
    /// Answer 404 instead of an empty list when no machine matches (contract section 7). Default on.
    pub machines_empty_is_404: bool,
    /// Send `@odata.nextLink` on lists (contract section 3, SILENT). Default off.
    pub endpoint_next_links: bool,
    /// Options other than `$filter`, `$top`, `$skip`. Default 400.
    pub endpoint_other_options: Undocumented,
    /// Greatest page of machines and machine actions (contract section 7: 10,000). Above it 400.
    pub endpoint_page: usize,
    /// A computer name shared by several machines answers 404 instead of one of them (SILENT). Default off: the first machine is sent.
    pub ambiguous_name_is_404: bool,
    /// A repeat of isolate while one is in progress (contract 7.1, not stated). Default refused.
    pub isolate_duplicate: Duplicate,
    /// A repeat of release, scan, restrict and unrestrict while one is in progress (contract 7.1: either). Default refused.
    pub action_duplicate: Duplicate,
    /// The error code of "Action is already in progress" (contract 7.1, SILENT). Default `ActiveRequestAlreadyExists`.
    pub duplicate_code: String,
    /// Isolating a machine that is isolated already is refused with 400 (contract 7.1, SILENT). Default off: a new action.
    pub refuse_isolated: bool,
    /// Release of a machine that is not isolated is refused with 400 (SILENT). Default off: a new action.
    pub refuse_not_isolated: bool,
    /// An action while the opposite one is in progress is refused with 400 (SILENT). Default off.
    pub refuse_opposite: bool,
    /// `IsolationType` must be given (contract section 7: not marked required). Default off: `Full`.
    pub isolation_type_required: bool,
    /// Machine action lists use `lastUpdateTimeUtc`, as in the sample, instead of `lastUpdateDateTimeUtc` (contract 7.1). Default on.
    pub list_last_update_time: bool,
    /// The request key of the correlation id is `ExternalId`, instead of `externalID` as in the property table (contract 7.1, SILENT). Both are read; this
    /// one refuses the other. Default off.
    pub external_id_pascal: bool,
}

impl Default for Switches {
    fn default() -> Self {
        Self {
            throttle: false,
            gzip: true,
            gzip_minimum: 256,
            newest: Newest::Created,
            filter_functions: false,
            filter_enum_any_case: false,
            token_seconds: 3599,
            token_ext_expires_in: false,
            token_refresh_in: None,
            credential_error_status: 400,
            identity_text_times: true,
            assertion_rs256: true,
            xdr_accepts_endpoint_audience: false,
            endpoint_accepts_xdr_audience: false,
            graph_top: TopRule::Refuse50,
            graph_skip_limit: 500,
            graph_default_page: 50,
            graph_next_links: true,
            graph_alert_next_links: true,
            graph_continuation: Continuation::Key,
            graph_orderby: Undocumented::Obey,
            graph_select: Undocumented::Obey,
            graph_other_options: Undocumented::Refuse,
            graph_spelling: GraphSpelling::Csdl,
            graph_comment_keys: CommentKeys::Csdl,
            graph_tags_key: false,
            graph_short_odata_type: false,
            graph_patch_texts: true,
            graph_patch_any_case: true,
            graph_pairs: Pairs::Any,
            refuse_redirected_update: false,
            comment_needs_type: false,
            expand_needs_alert_permission: false,
            expand_failure_hits_single: false,
            xdr_next_links: false,
            xdr_other_options: Undocumented::Refuse,
            xdr_default_page: 100,
            xdr_spelling: XdrSpelling::Resource,
            xdr_pairs: Pairs::Table,
            xdr_retry: XdrRetry::TimeInMessage,
            xdr_device_id_key: false,
            xdr_create_time_key: false,
            xdr_null_classification: false,
            xdr_alert_active: false,
            machines_empty_is_404: true,
            endpoint_next_links: false,
            endpoint_other_options: Undocumented::Refuse,
            endpoint_page: 10_000,
            ambiguous_name_is_404: false,
            isolate_duplicate: Duplicate::Refuse,
            action_duplicate: Duplicate::Refuse,
            duplicate_code: "ActiveRequestAlreadyExists".to_owned(),
            refuse_isolated: false,
            refuse_not_isolated: false,
            refuse_opposite: false,
            isolation_type_required: false,
            list_last_update_time: true,
            external_id_pascal: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switches_come_and_go_as_json() {
        let text = serde_json::to_string(&Switches::default()).unwrap();
        assert_eq!(serde_json::from_str::<Switches>(&text).unwrap(), Switches::default());
        let one: Switches = serde_json::from_str(r#"{"graphTop":"clamp1000"}"#).unwrap();
        assert_eq!(one, Switches { graph_top: TopRule::Clamp1000, ..Switches::default() });
        assert!(serde_json::from_str::<Switches>(r#"{"graphTopp":"clamp50"}"#).is_err());
    }
}

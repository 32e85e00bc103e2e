//! A real Alertmanager that shows a client certificate and a password over TLS.

use std::{
    fs,
    process::{Child, Command, Stdio},
};

use serde_json::{Value, json};

use super::{
    harness::{Fleet, LARGE, agent, free_port, wait_for},
    pki::{Authority, WebFolder, client},
};

struct Alertmanager {
    process: Child,
    url: String,
}

impl Alertmanager {
    fn start(web: &WebFolder, config: &Value) -> Self {
        fs::write(web.path("alertmanager.yml"), config.to_string()).unwrap();
        let address = format!("127.0.0.1:{}", free_port("127.0.0.1"));
        let process = Command::new("prometheus-alertmanager")
            .arg(format!("--config.file={}", web.path("alertmanager.yml").display()))
            .arg(format!("--storage.path={}", web.path("alertmanager").display()))
            .arg(format!("--web.listen-address={address}"))
            .arg("--cluster.listen-address=")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(web.path("alertmanager.log")).unwrap())
            .spawn()
            .expect("Alertmanager, of Debian's package prometheus-alertmanager");
        let url = format!("http://{address}");
        wait_for("Alertmanager", || agent().get(format!("{url}/-/ready")).call().ok());
        Self { process, url }
    }

    fn fires(&self, alert: &str, host: &str) {
        let alerts = json!([{ "labels": { "alertname": alert, "host": host } }]);
        let sent = agent().post(format!("{}/api/v2/alerts", self.url)).send_json(alerts).unwrap();
        assert_eq!(sent.status(), 200);
    }
}

impl Drop for Alertmanager {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_real_alertmanager_is_let_in_by_its_certificate_and_its_password_and_by_neither_alone() {
    let ours = Authority::new("ours");
    let web = WebFolder::of(&ours);
    let identity = ours.issue(&["alertmanager.example"]);
    web.write("ca.pem", &ours.pem());
    web.write("am.crt", &identity.certificate);
    web.write("am.key", &identity.key);
    web.write("password", "s3cret");
    let users = format!("basic_auth_users: {{ am: {} }}\n", bcrypt::hash("s3cret", 4).unwrap());
    web.tls("  client_ca_file: ca.pem\n  client_auth_type: RequireAndVerifyClientCert\n", &users);
    let fleet = Fleet::of_one();
    let responder = fleet.serve_as("", &web.launch());

    let file = |name: &str| web.path(name).display().to_string();
    let basic = json!({ "username": "am", "password_file": file("password") });
    let tls = |certificate: bool| {
        let mut tls = json!({ "ca_file": file("ca.pem") });
        if certificate {
            (tls["cert_file"], tls["key_file"]) = (file("am.crt").into(), file("am.key").into());
        }
        tls
    };
    let receiver =
        |http: Value| json!({ "url": format!("https://{}/webhook", responder.address), "http_config": http });
    let route = |name: &str| json!({ "receiver": name, "matchers": [format!("alertname=\"{name}\"")] });
    let alertmanager = Alertmanager::start(
        &web,
        &json!({
            "route": { "receiver": LARGE, "group_by": ["alertname"], "group_wait": "0s", "group_interval": "1s",
                "routes": [route("NoPassword"), route("NoCertificate")] },
            "receivers": [
                { "name": LARGE, "webhook_configs": [receiver(json!({ "basic_auth": basic, "tls_config": tls(true) }))] },
                { "name": "NoPassword", "webhook_configs": [receiver(json!({ "tls_config": tls(true) }))] },
                { "name": "NoCertificate", "webhook_configs": [receiver(json!({ "basic_auth": basic, "tls_config": tls(false) }))] },
            ],
        }),
    );
    let us = client(&ours.pem(), Some(&identity));
    let shown = "Basic YW06czNjcmV0";
    let get = |path: &str| {
        let url = format!("https://{}{path}", responder.address);
        us.get(url).header("Authorization", shown).call().unwrap().into_body().read_to_string().unwrap()
    };
    alertmanager.fires("NoPassword", "ray-80");
    alertmanager.fires("NoCertificate", "ray-80");
    let counted = |series: &str, least: u64| {
        wait_for(series, || {
            let metrics = get("/metrics");
            let value =
                metrics.lines().find_map(|line| line.strip_prefix(series)?.trim().parse::<u64>().ok());
            value.filter(|value| *value >= least)
        })
    };
    counted(r#"raysweep_notifications_total{result="unauthorized"}"#, 1);
    // It goes on trying where there was no connection.
    counted(r#"raysweep_http_connections_cut_total{reason="handshake"}"#, 2);
    assert_eq!(counted(r#"raysweep_notifications_total{result="accepted"}"#, 0), 0);
    alertmanager.fires(LARGE, "ray-80");
    counted(r#"raysweep_attempts_total{host="ray-80",outcome="freed"}"#, 1);
    assert_eq!(counted(r#"raysweep_notifications_total{result="accepted"}"#, 1), 1);
}

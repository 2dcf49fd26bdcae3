//! What a user might take instead of a layer: nginx in front of the service, and Better Auth's plugin on Node.

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::{SECRET, Server, free_port, on_processor};

/// nginx with its keys in a map and `limit_req` by key. It answers itself, and has no service behind it.
pub(crate) fn nginx() -> Option<Server> {
    Command::new("nginx").arg("-v").stderr(Stdio::null()).status().ok().filter(ExitStatus::success)?;
    let folder = env::temp_dir().join(format!("nginx.{}", std::process::id()));
    fs::create_dir_all(&folder).expect("the folder can be made");
    let port = free_port();
    let place = folder.display();
    let others: String = (0..1_000).map(|number| format!("        \"ak_live_{number:040}\" key_{number};\n")).collect();
    let configuration = format!(
        "daemon off; master_process off; pid {place}/pid; error_log {place}/error.log crit;
events {{ worker_connections 1024; }}
http {{
    access_log off; map_hash_max_size 8192; map_hash_bucket_size 128;
    client_body_temp_path {place}/body; proxy_temp_path {place}/proxy; fastcgi_temp_path {place}/fastcgi;
    uwsgi_temp_path {place}/uwsgi; scgi_temp_path {place}/scgi; keepalive_requests 1000000000;
    map $http_x_api_key $caller {{
        default \"\";
        \"{SECRET}\" key_hot;
{others}    }}
    limit_req_zone $caller zone=keys:10m rate=1000000r/s;
    server {{
        listen 127.0.0.1:{port};
        location / {{
            if ($caller = \"\") {{ return 401 '{{\"error\":\"INVALID_API_KEY\"}}'; }}
            try_files /none @allowed;
        }}
        location @allowed {{
            limit_req zone=keys burst=1000000 nodelay;
            try_files /none @ok;
        }}
        location @ok {{ return 200 ok; }}
    }}
}}
"
    );
    let file = folder.join("nginx.conf");
    fs::write(&file, configuration).expect("the file can be written");
    let child = on_processor(0, "nginx").arg("-c").arg(&file).arg("-p").arg(&folder).spawn().ok()?;
    answers(Server { name: "nginx: map and limit_req".to_owned(), child, port })
}

/// Better Auth's plugin for keys, with its tables in memory.
pub(crate) fn better_auth() -> Option<Server> {
    let folder = env::var_os("BETTER_AUTH")?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/end_to_end/better_auth.mjs");
    let mut child = on_processor(0, "node")
        .arg(script)
        .arg(SECRET)
        .current_dir(folder)
        .stdout(Stdio::piped())
        .spawn()
        .expect("node is installed");
    let said = child.stdout.take();
    let mut server = Server { name: "Better Auth's plugin, in memory".to_owned(), child, port: 0 };
    let mut line = String::new();
    BufReader::new(said?).read_line(&mut line).ok()?;
    server.port = line.trim().parse().expect("Better Auth says where it listens");
    answers(server)
}

/// The server, as soon as it accepts connections.
fn answers(server: Server) -> Option<Server> {
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(10) {
        if std::net::TcpStream::connect(("127.0.0.1", server.port)).is_ok() {
            return Some(server);
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    eprintln!("{} does not listen, and is left out", server.name);
    None
}

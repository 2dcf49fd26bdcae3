//! One process over a JSON file, and what happens to files and disks.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use fs4::FileExt;
use http::StatusCode;
use serde_json::Value;
use tempfile::TempDir;
use tower_api_key::source::JsonFileKeys;

use crate::cluster::uses;
use crate::process::{Process, example};
use crate::report;
use crate::site::Site;
use crate::traffic::Traffic;

const CALM: Duration = Duration::from_secs(3);

/// What others change is seen within this time, and a repaired file or disk is written to at once.
const SEEN: Duration = Duration::from_secs(1);
const AFTER_REPAIR: Duration = Duration::from_secs(3);
const AFTER_RESTART: Duration = Duration::from_secs(20);
const END: Duration = Duration::from_secs(10);
const LOST: u64 = 24;

/// What a key takes at most while it is kept: its record, its part of the file's text, its counters.
const KEY_KIBIBYTES: u64 = 6;

/// A small disk of one's own: a file system in memory, for which one has to be root.
struct Disk(TempDir);

impl Disk {
    fn mount() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=1g", "tmpfs"]).arg(folder.path());
        assert!(mount.status().expect("mount can be run").success(), "a disk that can be filled needs root");
        Self(folder)
    }

    fn keys(&self) -> PathBuf {
        self.0.path().join("keys.json")
    }

    /// Leaves no room for another byte.
    fn fill(&self) {
        use std::io::Write;
        let mut filler = fs::File::create(self.filler()).unwrap();
        for size in [64 * 1024, 4096, 1] {
            while filler.write_all(&vec![0; size]).is_ok() {}
        }
    }

    fn clear(&self) {
        fs::remove_file(self.filler()).unwrap();
    }

    fn filler(&self) -> PathBuf {
        self.0.path().join("filler")
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg(self.0.path()).status();
    }
}

struct FileService {
    site: Arc<Site>,
    disk: Disk,
    /// Not on that disk: its files are rotated, which would make room there.
    audit: TempDir,
}

/// Runs the service for so long.
pub(crate) async fn soak(time: Duration, seed: u64) -> Vec<String> {
    let disk = Disk::mount();
    let audit = tempfile::tempdir().unwrap();
    let site = Arc::new(Site::new(vec![start(&disk, &audit)]));
    FileService { site, disk, audit }.run(time, seed).await
}

fn start(disk: &Disk, audit: &TempDir) -> Process {
    let mut command = example("generate");
    command.env("DATA_DIR", disk.0.path()).env("AUDIT_DIR", audit.path()).env("API_RATE_LIMIT", "1000000");
    Process::start(command)
}

impl FileService {
    fn start(&self) -> Process {
        start(&self.disk, &self.audit)
    }

    async fn run(&self, time: Duration, seed: u64) -> Vec<String> {
        let site = &self.site;
        site.recovers("start", AFTER_RESTART).await;
        let hammered = site.make(0, None).await.expect("all works at the start");
        let traffic = Traffic::start(site, hammered, seed);
        let end = Instant::now() + time;
        // The process is replaced early, and then lives on, so that its memory can be looked at.
        self.kill().await;
        self.replace().await;
        for fault in (0..3).cycle() {
            tokio::time::sleep(CALM).await;
            if Instant::now() >= end {
                break;
            }
            site.warm_up(time / 5);
            match fault {
                0 => self.edit().await,
                1 => self.break_file().await,
                _ => self.fill_disk().await,
            }
        }
        site.stop();
        traffic.end().await;
        report::check_figures(site, KEY_KIBIBYTES);
        self.end().await;
        let keys = JsonFileKeys::open(self.disk.keys()).unwrap();
        report::check_uses(site, uses(&keys).await);
        report::print("file", site);
        std::mem::take(&mut site.tally().violations)
    }

    /// A person disables a key with an editor, and enables it again.
    async fn edit(&self) {
        let Some(key) = self.site.make(0, None).await else {
            return self.site.violated("no key can be made".to_owned());
        };
        for (disabled, status) in [(true, StatusCode::UNAUTHORIZED), (false, StatusCode::OK)] {
            self.replace_file(|text| {
                let mut content: Value = serde_json::from_slice(&text).unwrap();
                let keys = content["keys"].as_array_mut().unwrap();
                let record = keys.iter_mut().find(|record| record["id"] == *key.id).unwrap();
                record["disabled"] = disabled.into();
                serde_json::to_vec_pretty(&content).unwrap()
            });
            let since = Instant::now();
            while self.site.whoami(0, &key.text).await != Some(status) {
                if since.elapsed() > SEEN {
                    return self.site.violated(format!("an edit (disabled: {disabled}) is not seen"));
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            self.site.tally().recoveries.entry("edit seen").or_default().push(since.elapsed());
        }
    }

    /// A person saves a file that is none: the keys that are known work, and nothing is written over it.
    async fn break_file(&self) {
        let mut good = Vec::new();
        self.replace_file(|text| {
            good = text;
            b"{ \"version\": 1, \"keys\": [".to_vec()
        });
        self.only_reads("the file is broken").await;
        self.replace_file(|_| std::mem::take(&mut good));
        self.site.recovers("the file was broken", AFTER_REPAIR).await;
    }

    async fn fill_disk(&self) {
        self.disk.fill();
        self.only_reads("the disk is full").await;
        let leftover = self.disk.keys().with_extension("json.tmp");
        if fs::metadata(&leftover).is_ok_and(|left| left.size() > 0) {
            self.site.violated("what could not be written is left over".to_owned());
        }
        self.disk.clear();
        self.site.recovers("the disk was full", AFTER_REPAIR).await;
    }

    /// For a while no key can be made, and known ones work.
    async fn only_reads(&self, why: &str) {
        let since = Instant::now();
        while since.elapsed() < Duration::from_secs(2) {
            if self.site.make(0, None).await.is_some() {
                return self.site.violated(format!("a key is made while {why}"));
            }
            let key = self.site.board().live.last().cloned();
            if let Some(key) = key
                && self.site.whoami(0, &key.text).await != Some(StatusCode::OK)
            {
                self.site.violated(format!("a known key does not work while {why}"));
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn kill(&self) {
        tokio::time::sleep(CALM).await;
        let process = self.site.take(0);
        process.signal("-KILL");
        let _ = process.ended(END).await;
        self.site.killed(0, LOST);
        self.site.put(0, self.start());
        self.site.recovers("the process was killed", AFTER_RESTART).await;
    }

    async fn replace(&self) {
        tokio::time::sleep(CALM).await;
        self.end().await;
        self.site.put(0, self.start());
        self.site.recovers("the process was replaced", AFTER_RESTART).await;
    }

    async fn end(&self) {
        let process = self.site.take(0);
        process.signal("-TERM");
        let status = process.ended(END).await;
        if status.and_then(|status| status.code()) != Some(0) {
            self.site.violated(format!("the process ends with {status:?}"));
        }
    }

    /// Replaces the file whole, under the lock that its writers hold.
    fn replace_file(&self, edit: impl FnOnce(Vec<u8>) -> Vec<u8>) {
        let path = self.disk.keys();
        let lock = fs::OpenOptions::new().write(true).create(true).truncate(false).open(beside(&path, "lock")).unwrap();
        FileExt::lock(&lock).unwrap();
        fs::write(beside(&path, "edit"), edit(fs::read(&path).unwrap())).unwrap();
        fs::rename(beside(&path, "edit"), &path).unwrap();
    }
}

fn beside(path: &Path, ending: &str) -> PathBuf {
    path.with_extension(format!("json.{ending}"))
}

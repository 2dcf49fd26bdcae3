use super::*;
use crate::key::KeyHasher;

fn record(number: usize) -> KeyRecord {
    KeyRecord::new(KeyId::new(format!("key_{number}")).unwrap(), KeyHasher::sha256().digest(&number.to_string()))
}

fn used(record: &KeyRecord, second: i64) -> Use<'_> {
    let at = Timestamp::from_unix_seconds(second);
    Use { record, at, address: Some(IpAddr::from([192, 0, 2, 1])), rehash: None, age_days: None }
}

#[test]
fn however_many_keys_come_the_book_stays_bounded_and_counts_what_it_drops() {
    let book = Book::new(640);
    for number in 0..10_000 {
        let record = record(number);
        book.note(used(&record, 1));
        book.note(used(&record, 2));
    }
    let (kept, keys) = (book.uses(), book.keys());
    assert!(keys <= 640 && keys > 600, "{keys}");
    assert_eq!(kept + book.dropped(), 20_000);
    assert_eq!(book.dropped(), 0, "it is told once");
    // What has been written makes room.
    while !book.take(100).usage.is_empty() {}
    for number in 10_000..10_100 {
        book.note(used(&record(number), 3));
    }
    assert_eq!((book.uses(), book.dropped()), (100, 0));
}

#[test]
fn a_batch_that_is_put_back_is_added_to_what_came_meanwhile() {
    let book = Book::new(10);
    let record = record(1);
    let to = KeyHasher::sha256().digest("other");
    book.note(Use { rehash: Some(Box::new(to)), age_days: Some(91), ..used(&record, 10) });
    let first = book.take(10);
    assert_eq!((first.usage[0].count, book.uses(), book.keys()), (1, 0, 0));
    assert_eq!(first.usage[0].rehash, Some(KeyRehash { from: record.digest, to }));
    assert_eq!(first.reminders, [Reminder { id: record.id.clone(), age_days: 91 }]);
    book.note(Use { age_days: Some(91), ..used(&record, 20) });
    book.put_back(&first);
    let both = book.take(10);
    assert!(both.reminders.is_empty(), "once a day");
    let at = Timestamp::from_unix_seconds(20);
    assert_eq!((both.usage[0].count, both.usage[0].last_used_at, both.usage[0].rehash), (2, at, first.usage[0].rehash));
    // Also when the key is forgotten meanwhile.
    book.note(Use { age_days: Some(92), ..used(&record, 86_400) });
    book.put_back(&both);
    let all = book.take(10);
    assert_eq!((all.usage[0].count, all.reminders.len(), book.keys()), (3, 1, 0));
    let other = Book::new(10);
    other.put_back(&all);
    assert_eq!((other.uses(), other.keys()), (3, 1));
}

#[test]
fn uses_on_many_threads_are_all_counted() {
    let book = Book::new(1_000);
    let records: Vec<_> = (0..10).map(record).collect();
    let written = std::sync::atomic::AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for count in 0..10_000 {
                    book.note(used(&records[count % 10], 1));
                }
            });
        }
        scope.spawn(|| {
            for round in 0..1_000 {
                let batch = book.take(3);
                if round % 2 == 0 {
                    book.put_back(&batch);
                } else {
                    written.fetch_add(batch.uses(), Ordering::Relaxed);
                }
            }
        });
    });
    assert_eq!(written.into_inner() + book.uses(), 40_000);
    assert_eq!(book.dropped(), 0);
}

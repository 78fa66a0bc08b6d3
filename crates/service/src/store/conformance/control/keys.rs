//! Keys.

use super::{Fixture, at, of};
use crate::store::{Scope, StoredKey};
use docket_contract::Role;

pub async fn keys_are_kept_listed_and_revoked(fixture: &dyn Fixture) {
    let store = fixture.open().await;
    assert!(!store.has_keys().await.unwrap());
    assert_eq!(store.read_key("k0").await.unwrap(), None);
    let mut keys = Vec::new();
    for (number, role) in (0_u8..).zip(Role::ALL) {
        let key = StoredKey {
            id: format!("k{number}"),
            hash: [number; 32],
            organization: if number < 3 { "a" } else { "b" }.to_owned(),
            role,
            user: "ann".to_owned(),
            created_at: at(i64::from(number)),
            revoked_at: None,
        };
        store.insert_key(key.clone()).await.unwrap();
        keys.push(key);
    }
    // An id is given once.
    assert!(store.insert_key(StoredKey { hash: [9; 32], ..keys[0].clone() }).await.is_err());
    for key in &keys {
        assert_eq!(store.read_key(&key.id).await.unwrap().as_ref(), Some(key));
    }
    assert_eq!(store.list_keys(&Scope::Everything).await.unwrap(), keys);
    assert_eq!(store.list_keys(&of("a")).await.unwrap(), keys[..3]);
    assert_eq!(store.list_keys(&of("c")).await.unwrap(), []);
    assert!(store.has_keys().await.unwrap());

    assert!(!store.revoke_key(&of("b"), "k0", at(10)).await.unwrap());
    assert!(!store.revoke_key(&Scope::Everything, "k9", at(10)).await.unwrap());
    for (number, key) in keys.iter_mut().enumerate() {
        let scope = if number == 0 { of("a") } else { Scope::Everything };
        assert!(store.has_keys().await.unwrap());
        assert!(store.revoke_key(&scope, &key.id, at(11)).await.unwrap());
        assert!(store.revoke_key(&scope, &key.id, at(12)).await.unwrap());
        key.revoked_at = Some(at(11));
        assert_eq!(store.read_key(&key.id).await.unwrap().as_ref(), Some(&*key));
    }
    assert!(store.has_keys().await.unwrap(), "a server whose keys are all revoked does not open to everybody");
    store.close().await;
    drop(store);
    let store = fixture.open().await;
    assert_eq!(store.list_keys(&Scope::Everything).await.unwrap(), keys);
}

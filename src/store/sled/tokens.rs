//! API tokens: on disk, and all of them in memory.

use std::collections::{BTreeMap, HashMap};

use crate::model::token::{TokenId, TokenRecord};
use crate::store::key::{self, Table};
use crate::store::{StoreError, StoreFuture, TokenEdit, TokenStore, is_worth_noting, record};
use crate::types::time::Timestamp;

use super::{Core, SledStore};

/// All tokens.
#[derive(Debug, Default)]
pub(super) struct TokenTable {
    tokens: BTreeMap<TokenId, TokenRecord>,
    by_hash: HashMap<[u8; 32], TokenId>,
    last: u32,
}

impl TokenTable {
    /// Starts after the highest number that was ever given out.
    pub(super) fn resume(last: u32) -> Self {
        Self { last, ..Self::default() }
    }

    /// Takes in a stored token.
    pub(super) fn insert(&mut self, token: TokenRecord) {
        self.last = self.last.max(token.id.0);
        self.by_hash.insert(token.hash, token.id);
        self.tokens.insert(token.id, token);
    }
}

impl Core {
    fn put_token(&self, token: &TokenRecord) -> Result<(), StoreError> {
        self.database.put(Table::Tokens, &key::token(token.id), &record::encode(token, 128)?)
    }

    fn add(&self, token: TokenRecord) -> Result<TokenRecord, StoreError> {
        let mut table = self.tokens.write();
        let token = TokenRecord { id: TokenId(table.last.saturating_add(1)), ..token };
        self.put_token(&token)?;
        table.insert(token.clone());
        Ok(token)
    }

    fn change(&self, id: TokenId, edit: TokenEdit<'_>) -> Result<Option<TokenRecord>, StoreError> {
        let mut table = self.tokens.write();
        let Some(mut token) = table.tokens.get(&id).cloned() else { return Ok(None) };
        edit(&mut token);
        self.put_token(&token)?;
        table.tokens.insert(id, token.clone());
        Ok(Some(token))
    }

    fn revoke(&self, id: TokenId) -> Result<bool, StoreError> {
        let mut table = self.tokens.write();
        let Some(token) = table.tokens.remove(&id) else { return Ok(false) };
        table.by_hash.remove(&token.hash);
        self.database.put(Table::Meta, key::LAST_TOKEN, &record::encode(&table.last, 8)?)?;
        self.database.remove(Table::Tokens, &key::token(id))?;
        Ok(true)
    }

    fn touch(&self, id: TokenId, at: Timestamp) -> Result<(), StoreError> {
        if !self.tokens.read().tokens.get(&id).is_some_and(|token| is_worth_noting(token, at)) {
            return Ok(());
        }
        let mut table = self.tokens.write();
        let Some(token) = table.tokens.get_mut(&id) else { return Ok(()) };
        token.last_used_at = Some(at);
        self.health.check()?;
        self.put_token(token)
    }
}

impl TokenStore for SledStore {
    fn add_token(&self, token: TokenRecord) -> StoreFuture<'_, TokenRecord> {
        Box::pin(async move {
            self.core.health.check()?;
            let token = self.core.add(token)?;
            self.committer.barrier().await?;
            Ok(token)
        })
    }

    fn token_by_hash(&self, hash: &[u8; 32]) -> Option<TokenRecord> {
        let table = self.core.tokens.read();
        table.by_hash.get(hash).and_then(|id| table.tokens.get(id)).cloned()
    }

    fn tokens(&self) -> Vec<TokenRecord> {
        self.core.tokens.read().tokens.values().cloned().collect()
    }

    fn edit_token<'a>(&'a self, id: TokenId, edit: TokenEdit<'a>) -> StoreFuture<'a, Option<TokenRecord>> {
        Box::pin(async move {
            self.core.health.check()?;
            let token = self.core.change(id, edit)?;
            self.committer.barrier().await?;
            Ok(token)
        })
    }

    fn remove_token(&self, id: TokenId) -> StoreFuture<'_, bool> {
        Box::pin(async move {
            self.core.health.check()?;
            let removed = self.core.revoke(id)?;
            self.committer.barrier().await?;
            Ok(removed)
        })
    }

    fn touch_token(&self, id: TokenId, at: Timestamp) {
        if let Err(error) = self.core.touch(id, at) {
            tracing::debug!("the use of a token was not noted: {error}");
        }
    }
}

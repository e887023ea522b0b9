//! `acsd token create | list | revoke`.
//!
//! With `--url` and `--token` the command speaks to a running acsd. Without, it opens the store itself, which works only
//! while no acsd runs on it: that is how a token is made when all have been lost.

use std::error::Error;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, Subcommand, ValueEnum};
use http::Method;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::client::{ApiClient, ClientError};
use crate::api::query::parse_time;
use crate::api::token::{TokenWish, record_of};
use crate::auth::random::RandomError;
use crate::auth::token::generate;
use crate::model::device::OrganizationId;
use crate::model::token::{Role, TokenId, TokenRecord};
use crate::store::{Store, StoreError};
use crate::types::secret::Secret;
use crate::types::time::{Clock, Timestamp};

/// Path of the tokens below the API's URL.
const TOKENS: &str = "/api/v1/api_token/";
/// Tokens of one page.
const PAGE: usize = 500;

/// Arguments of `acsd token`.
#[derive(Debug, Args)]
pub struct TokenArgs {
    #[command(subcommand)]
    command: TokenCommand,
    #[command(flatten)]
    target: Target,
}

/// Where the tokens are.
#[derive(Debug, Args)]
struct Target {
    /// Speak to the acsd at this URL (http://127.0.0.1:8080) instead of opening the store
    #[arg(long, global = true, env = "ACSD_URL", requires = "token")]
    url: Option<String>,
    /// An admin token, for --url
    #[arg(long, global = true, env = "ACSD_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// PEM file of the certificate to trust, for an https:// URL
    #[arg(long, global = true, env = "ACSD_CA_CERTIFICATE", value_name = "FILE")]
    ca_certificate: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
enum TokenCommand {
    /// Make a token; it is printed once and kept nowhere
    Create {
        /// For people: whose it is, what for
        #[arg(long)]
        name: String,
        /// What it may do
        #[arg(long, value_enum)]
        role: RoleArg,
        /// An organization it is bound to; may be given several times; without: all
        #[arg(long = "organization", value_name = "ID")]
        organizations: Vec<u32>,
        /// When it ends: a date, or a date and time
        #[arg(long, value_name = "TIME", value_parser = read_time)]
        expires_at: Option<Timestamp>,
    },
    /// List the tokens
    List,
    /// Revoke a token at once
    Revoke {
        /// Its number, as `list` shows it
        id: u32,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum RoleArg {
    /// Reads
    Viewer,
    /// Reads, changes devices, schedules work
    Operator,
    /// Everything, tokens included
    Admin,
}

impl From<RoleArg> for Role {
    fn from(role: RoleArg) -> Self {
        match role {
            RoleArg::Viewer => Self::Viewer,
            RoleArg::Operator => Self::Operator,
            RoleArg::Admin => Self::Admin,
        }
    }
}

fn read_time(text: &str) -> Result<Timestamp, &'static str> {
    parse_time(text).ok_or("a date or a date and time is required, such as 2027-01-01T00:00:00Z")
}

/// Why the command failed.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The running acsd could not be asked, or refused.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// The store could not be opened.
    #[error("the store cannot be opened; while an acsd runs on it, let that one do it: give --url and --token")]
    Open(#[source] Box<dyn Error + Send + Sync>),
    /// The store failed.
    #[error("the store failed")]
    Store(#[from] StoreError),
    /// There is no such token.
    #[error("there is no token {0}")]
    Unknown(u32),
    /// The expiry lies behind.
    #[error("--expires-at lies in the past")]
    Past,
    /// No randomness.
    #[error("no token could be made")]
    Random(#[from] RandomError),
    /// The answer of the running acsd makes no sense: it is another version, or no acsd.
    #[error("the answer is not what an acsd of this version gives")]
    Answer(#[source] serde_json::Error),
    /// Nobody reads what is printed.
    #[error("the result cannot be printed")]
    Print(#[source] io::Error),
}

impl TokenError {
    /// Whether the command line itself is wrong: nothing was tried.
    #[must_use]
    pub fn is_usage(&self) -> bool {
        matches!(self, Self::Past | Self::Client(ClientError::Url { .. } | ClientError::NoTrust))
    }
}

/// Where the command prints.
pub struct Output<'a> {
    /// What scripts want: the token, the list.
    pub result: &'a mut (dyn Write + Send),
    /// Remarks for people.
    pub notes: &'a mut (dyn Write + Send),
}

/// Runs the command. `open` opens the store; it is called only without `--url`.
///
/// # Errors
/// [`TokenError`].
pub async fn run<F>(args: TokenArgs, open: F, clock: &dyn Clock, output: Output<'_>) -> Result<(), TokenError>
where
    F: AsyncFnOnce() -> Result<Arc<dyn Store>, Box<dyn Error + Send + Sync>>,
{
    let Target { url, token, ca_certificate } = args.target;
    let place = match (url, token) {
        (Some(url), Some(token)) => Place::Running(ApiClient::new(&url, Secret::new(token), ca_certificate)?),
        _ => Place::Store(open().await.map_err(TokenError::Open)?),
    };
    let done = place.carry_out(args.command, clock.now(), output).await;
    if let Place::Store(store) = place {
        store.close().await?;
    }
    done
}

enum Place {
    Running(ApiClient),
    Store(Arc<dyn Store>),
}

impl Place {
    async fn carry_out(&self, command: TokenCommand, now: Timestamp, output: Output<'_>) -> Result<(), TokenError> {
        let Output { result, notes } = output;
        match command {
            TokenCommand::Create { name, role, organizations, expires_at } => {
                if expires_at.is_some_and(|end| end <= now) {
                    return Err(TokenError::Past);
                }
                let bound = !organizations.is_empty();
                let organizations = bound.then(|| organizations.into_iter().map(OrganizationId).collect());
                let wish = TokenWish { name, role: role.into(), organizations, expires_at };
                let (id, token) = self.create(wish, now).await?;
                writeln!(notes, "Token {id} is made. It is shown this once:").map_err(TokenError::Print)?;
                writeln!(result, "{}", token.expose()).map_err(TokenError::Print)
            }
            TokenCommand::List => print(&self.list().await?, result).map_err(TokenError::Print),
            TokenCommand::Revoke { id } => {
                self.revoke(id).await?;
                writeln!(notes, "Token {id} is revoked.").map_err(TokenError::Print)
            }
        }
    }

    async fn create(&self, wish: TokenWish, now: Timestamp) -> Result<(u32, Secret), TokenError> {
        match self {
            Self::Store(store) => {
                let token = generate()?;
                let record = store.add_token(record_of(&token, wish, now)).await?;
                Ok((record.id.0, token))
            }
            Self::Running(client) => {
                let mut body = Map::new();
                body.insert("name".to_owned(), wish.name.into());
                body.insert("role".to_owned(), role_word(wish.role).into());
                if let Some(organizations) = wish.organizations {
                    let ids: Vec<u32> = organizations.into_iter().map(|one| one.0).collect();
                    body.insert("organizations".to_owned(), ids.into());
                }
                if let Some(end) = wish.expires_at {
                    body.insert("expires_at".to_owned(), end.to_string().into());
                }
                let made: Made = read(client.call(Method::POST, TOKENS, Some(&Value::Object(body))).await?)?;
                Ok((made.id, Secret::new(made.token)))
            }
        }
    }

    async fn list(&self) -> Result<Vec<Listed>, TokenError> {
        let client = match self {
            Self::Store(store) => return Ok(store.tokens().into_iter().map(Listed::from).collect()),
            Self::Running(client) => client,
        };
        let mut tokens: Vec<Listed> = Vec::new();
        loop {
            let path = format!("{TOKENS}?limit={PAGE}&offset={}", tokens.len());
            let page: Page = read(client.call(Method::GET, &path, None).await?)?;
            let last = page.results.is_empty() || page.next.is_none();
            tokens.extend(page.results);
            if last {
                return Ok(tokens);
            }
        }
    }

    async fn revoke(&self, id: u32) -> Result<(), TokenError> {
        match self {
            Self::Store(store) if store.remove_token(TokenId(id)).await? => Ok(()),
            Self::Store(_) => Err(TokenError::Unknown(id)),
            Self::Running(client) => {
                client.call(Method::DELETE, &format!("{TOKENS}{id}/"), None).await?;
                Ok(())
            }
        }
    }
}

fn read<T: DeserializeOwned>(answer: Value) -> Result<T, TokenError> {
    serde_json::from_value(answer).map_err(TokenError::Answer)
}

#[derive(Deserialize)]
struct Made {
    id: u32,
    token: String,
}

#[derive(Deserialize)]
struct Page {
    next: Option<String>,
    results: Vec<Listed>,
}

/// A line of the list.
#[derive(Debug, Deserialize)]
struct Listed {
    id: u32,
    prefix: String,
    role: Role,
    organizations: Option<Vec<u32>>,
    expires_at: Option<String>,
    last_used_at: Option<String>,
    name: String,
}

impl From<TokenRecord> for Listed {
    fn from(record: TokenRecord) -> Self {
        Self {
            id: record.id.0,
            prefix: record.prefix,
            role: record.role,
            organizations: record.organizations.map(|all| all.into_iter().map(|one| one.0).collect()),
            expires_at: record.expires_at.map(|at| at.to_string()),
            last_used_at: record.last_used_at.map(|at| at.to_string()),
            name: record.name,
        }
    }
}

fn role_word(role: Role) -> &'static str {
    match role {
        Role::Viewer => "viewer",
        Role::Operator => "operator",
        Role::Admin => "admin",
    }
}

fn print(tokens: &[Listed], out: &mut (dyn Write + Send)) -> io::Result<()> {
    let mut line = |cells: [&str; 7]| {
        let [id, prefix, role, organizations, expires, used, name] = cells;
        writeln!(out, "{id:>4}  {prefix:<12}  {role:<8}  {organizations:<13}  {expires:<20}  {used:<20}  {name}")
    };
    line(["ID", "BEGINS WITH", "ROLE", "ORGANIZATIONS", "EXPIRES", "LAST USED", "NAME"])?;
    for token in tokens {
        let ids = |all: &Vec<u32>| all.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let organizations = token.organizations.as_ref().map_or_else(|| "all".to_owned(), ids);
        let expires = token.expires_at.as_deref().unwrap_or("never");
        let used = token.last_used_at.as_deref().unwrap_or("never");
        let id = token.id.to_string();
        line([&id, &token.prefix, role_word(token.role), &organizations, expires, used, &token.name])?;
    }
    Ok(())
}

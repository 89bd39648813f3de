import { group, setting } from './setting.js'
import { bool, duration, integer, list, network, oneOf, optionalListen } from './values.js'

/** Settings of sleep and wake; `hostler.*` labels of a container override what has a label. */

export const publicSettings = group({
  listen: setting(
    optionalListen(),
    '0.0.0.0:8000',
    'HOSTLER_PUBLIC_LISTEN',
    'Where the proxies send requests for stacks that sleep or are still starting; `none`: nowhere, such requests get a 503.',
  ),
  address: setting(
    optionalListen(),
    '',
    'HOSTLER_PUBLIC_ADDRESS',
    "That port as the proxies reach it, `host:port`. Default: 127.0.0.1 for a HAProxy of our own, else this machine's (or container's) name.",
  ),
})

export const readinessSettings = group({
  enabled: setting(
    bool(),
    true,
    'HOSTLER_READINESS',
    'Route to a container that has just started only when its port accepts connections.',
  ),
  timeout: setting(
    duration(100),
    '1m',
    'HOSTLER_READINESS_TIMEOUT',
    'After this long it is routed to anyway, with a warning.',
  ),
})

export const wakeSettings = group({
  enabled: setting(
    bool(),
    false,
    'HOSTLER_WAKE',
    'Start a sleeping stack on the first request for it, and let idle ones sleep, where no label `hostler.wake` says otherwise.',
  ),
  grace: setting(
    duration(),
    '400ms',
    'HOSTLER_WAKE_GRACE',
    'How long after its start begins page loads wait for the app itself; after that they get the waiting page at once.',
  ),
  timeout: setting(
    duration(1000),
    '2m',
    'HOSTLER_WAKE_TIMEOUT',
    'How long a start may take, and a request may be held for it.',
  ),
  maxHeld: setting(integer(1, 100_000), 5000, 'HOSTLER_WAKE_MAX_HELD', 'How many requests are held at once.'),
  maxHeldPerGroup: setting(
    integer(1, 100_000),
    1000,
    'HOSTLER_WAKE_MAX_HELD_PER_GROUP',
    'The same for one group of containers that wakes together.',
  ),
  ignoredPaths: setting(
    list(),
    '/robots.txt,/favicon.ico,/apple-touch-icon.png,/apple-touch-icon-precomposed.png,/health,/healthz,/livez,/readyz,/ping',
    'HOSTLER_WAKE_IGNORED_PATHS',
    'Paths that wake nothing: they get a 503 with `Retry-After` while the stack sleeps. A `*` at the end stands for anything.',
  ),
  ignoredAgents: setting(
    list(),
    '',
    'HOSTLER_WAKE_IGNORED_AGENTS',
    'User agents that wake nothing: words that occur in them, comma list, in any case.',
  ),
})

export const sleepSettings = group({
  after: setting(
    duration(),
    '30m',
    'HOSTLER_IDLE',
    'How long a stack that can be woken must be idle before it is put to sleep; `0`: never.',
  ),
  action: setting(
    oneOf('stop', 'pause', 'remove'),
    'stop',
    'HOSTLER_ON_IDLE',
    'What is done to an idle container: `stop`, `pause` or `remove`.',
  ),
  interval: setting(
    duration(100),
    '10s',
    'HOSTLER_SLEEP_INTERVAL',
    'How often activity is read and idle stacks are looked for.',
  ),
  drain: setting(
    duration(),
    '30s',
    'HOSTLER_SLEEP_DRAIN',
    'How long requests under way may take to finish; an idle stack that still has some after that is left awake, one that was asked to sleep is stopped.',
  ),
  quietBytes: setting(
    integer(0, 1_000_000),
    1,
    'HOSTLER_SLEEP_QUIET_BYTES',
    'How many bytes a second a container may send while nobody uses it. Looked at only where the proxy cannot tell of open connections (Traefik 3).',
  ),
  dryRun: setting(bool(), false, 'HOSTLER_SLEEP_DRY_RUN', 'Only say what would be put to sleep or removed.'),
  removeVolumes: setting(
    bool(),
    false,
    'HOSTLER_REMOVE_VOLUMES',
    'Remove the anonymous volumes of a container together with it.',
  ),
  reaperNetwork: setting(
    network(),
    '127.0.0.1/32',
    'HOSTLER_REAPER_NETWORK reaper_ipnetwork',
    'From where `GET /reaper` may ask for a look at idle stacks without a token.',
  ),
})

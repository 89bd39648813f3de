import { group, setting } from './setting.js'
import { bool, duration, list, text } from './values.js'

/** Who may deploy, wake and put to sleep through the private port, and what is deployed how. */
export const deploySettings = group({
  auth: setting(
    bool(),
    true,
    'HOSTLER_DEPLOY_AUTH',
    'Calls that change something need a token. In ContainerDirectRouting: `enable-mgmt-auth`.',
  ),
  usersFile: setting(
    text(),
    '',
    'HOSTLER_USERS_FILE',
    'Who may log in: a line `user,hash` each; `hostler password` makes the hash. SHA-256 hex is accepted too, with a warning.',
  ),
  tokenTtl: setting(duration(1000), '60m', 'HOSTLER_TOKEN_TTL', 'How long a token from `POST /login` is good.'),
  token: setting(
    text(),
    '',
    'HOSTLER_TOKEN',
    'A fixed token for programs. Default: one of our own making in `token` in the state folder, which `hostler wake` and `sleep` read.',
    true,
  ),
  profiles: setting(
    text(),
    '',
    'HOSTLER_DEPLOY_PROFILES',
    'A YAML file of named limits and capabilities; `default` counts where a call names none.',
  ),
  pull: setting(bool(), true, 'HOSTLER_DEPLOY_PULL', 'Pull an image that is missing.'),
  images: setting(
    list(),
    '',
    'HOSTLER_DEPLOY_IMAGES',
    'The images that may be deployed, comma list; a `*` stands for anything. Empty: every image.',
  ),
  foreignHealthChecks: setting(
    bool(),
    false,
    'HOSTLER_FOREIGN_HEALTH_CHECKS',
    'Take a deployment whose label `health-check` points elsewhere than its own container. Nobody else is asked all the same: such a label counts for nothing, and the port that the routes lead to must accept connections.',
  ),
})

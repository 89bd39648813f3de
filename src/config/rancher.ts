import { group, setting } from './setting.js'
import { duration, text, url } from './values.js'

/** Rancher 1.x's API: of the source `rancher-api`, and of what starts and stops its services. */
export const rancherSettings = group({
  url: setting(
    url(),
    '',
    'RANCHER_URL CATTLE_URL',
    "Rancher's API, `http://HOST:8080/v2-beta` or `/v1`; with `/projects/ID` for that one alone.",
  ),
  accessKey: setting(text(), '', 'RANCHER_ACCESS_KEY CATTLE_ACCESS_KEY', 'Access key of an API key there.', true),
  secretKey: setting(text(), '', 'RANCHER_SECRET_KEY CATTLE_SECRET_KEY', 'Its secret key.', true),
  project: setting(
    text(),
    '',
    'RANCHER_PROJECT',
    'Name or id of the project (environment) whose services count. Empty: of every one that the key sees.',
  ),
  pollInterval: setting(
    duration(100),
    '2s',
    'RANCHER_POLL_INTERVAL',
    'How often services are read there; while one of them starts or stops, twice a second.',
  ),
  stack: setting(
    text(),
    'hostler',
    'RANCHER_STACK',
    'The stack of services that are deployed through the private port, unless a label `hostler.stack` names another. It is made when it is missing.',
  ),
})

import { group, setting } from './setting.js'
import { bool, duration, integer, statuses, text, url } from './values.js'

/** ContainerDirectRouting's ways to single containers that were deployed through the private port (label `origin=spawner`). */
export const directSettings = group({
  cookieRouting: setting(
    bool(),
    false,
    'HOSTLER_COOKIE_ROUTING',
    'A cookie names the container that gets the request, whatever the host is. In ContainerDirectRouting: `use-cookie-routing`.',
  ),
  pathRouting: setting(
    bool(),
    false,
    'HOSTLER_PATH_ROUTING',
    'The path does: `/PREFIX/NAME/…`. In ContainerDirectRouting: `use-path-routing`.',
  ),
  cookieKey: setting(text(), 'instance', 'HOSTLER_COOKIE_KEY', 'The name of that cookie.'),
  containerPrefix: setting(text(), '', 'HOSTLER_CONTAINER_PREFIX', 'The PREFIX of those paths.'),
  checkStatus: setting(
    statuses(),
    '200,300-399',
    'HOSTLER_CONTAINER_CHECK_STATUS',
    'What the label `health-check` of such a container must be answered with before it gets requests. In ContainerDirectRouting: `http-probe-ok-status`; its 200 counted behind redirects too, which are not followed here.',
  ),
  checkInterval: setting(
    duration(100),
    '30s',
    'HOSTLER_CONTAINER_CHECK_INTERVAL',
    'This, times the retries, is how long such a container may take to get ready; one that a request has started is stopped again after that. It is asked much more often, so that nobody waits longer than needed. In ContainerDirectRouting: `health-check-interval`.',
  ),
  checkRetries: setting(
    integer(1, 1000),
    3,
    'HOSTLER_CONTAINER_CHECK_RETRIES',
    'How many of those intervals. In ContainerDirectRouting: `health-check-retries`.',
  ),
  fallbackUrl: setting(
    url(),
    'http://localhost/home',
    'HOSTLER_COOKIE_FALLBACK_URL',
    'With cookie routing: where requests go that name no container, or one that does not get ready.',
  ),
})

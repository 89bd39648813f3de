import { group, setting } from './setting.js'
import { bool, text, url } from './values.js'

/** Predecessor 2's ways to single containers that were deployed through the private port (label `origin=spawner`). */
export const directSettings = group({
  cookieRouting: setting(
    bool(),
    false,
    'HOSTLER_COOKIE_ROUTING',
    'A cookie names the container that gets the request, whatever the host is. Predecessor 2: `use-cookie-routing`.',
  ),
  pathRouting: setting(
    bool(),
    false,
    'HOSTLER_PATH_ROUTING',
    'The path does: `/PREFIX/NAME/…`. Predecessor 2: `use-path-routing`.',
  ),
  cookieKey: setting(text(), 'instance', 'HOSTLER_COOKIE_KEY', 'The name of that cookie.'),
  containerPrefix: setting(text(), '', 'HOSTLER_CONTAINER_PREFIX', 'The PREFIX of those paths.'),
  fallbackUrl: setting(
    url(),
    'http://localhost/home',
    'HOSTLER_COOKIE_FALLBACK_URL',
    'With cookie routing: where requests go that name no container, or one that does not get ready.',
  ),
})

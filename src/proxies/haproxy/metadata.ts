import { existsSync } from 'node:fs'
import type { Settings } from '../../config/schema.js'
import { writeAtomically } from '../../lib/atomic-file.js'
import { createBackoff } from '../../lib/backoff.js'
import { messageOf } from '../../lib/errors.js'
import { withDeadline } from '../../lib/signals.js'
import type { MetadataValues, ProxyContext } from '../proxy.js'

/** Metadata may be down for as long as it likes: the start waits no longer than this for what it could fill in. */
const PATIENCE_MS = 3000

/**
 * Fills in what predecessor 1 took from metadata: the syslog host where none is set, and the certificate where there is no
 * file (an existing one, a bind mount say, wins). Failing is logged, and tried again until the signal: HAProxy runs without
 * meanwhile. A certificate that comes late is seen like any other; a syslog host counts from HAProxy's next start.
 */
export async function fillFromMetadata(
  settings: Settings,
  env: Record<string, string>,
  { metadata, log, clock }: ProxyContext,
  signal: AbortSignal,
): Promise<void> {
  if (metadata === undefined) return
  const { sslCert, sslBase64 } = settings.haproxy
  const wishes: Wish[] = [
    {
      what: 'the syslog host',
      isOpen: () => settings.syslog.host === '',
      async fill(patience) {
        const host = await metadata.agentIp(patience)
        if (host === undefined) return
        env['SYSLOG_HOST'] = host
        log.info({ host }, 'haproxy logs to the host that metadata names')
      },
    },
    {
      what: 'the certificate',
      isOpen: () => settings.https.enabled && !existsSync(sslCert),
      async fill(patience) {
        if (await saveCertificate(metadata, { path: sslCert, base64: sslBase64 }, patience))
          log.info({ path: sslCert }, 'the certificate comes from metadata')
      },
    },
  ]

  const said = new Set<string>()
  async function fulfil({ what, isOpen, fill }: Wish): Promise<boolean> {
    try {
      if (isOpen()) await impatiently(fill, signal)
      return true
    } catch (err) {
      const message = messageOf(err)
      if (!signal.aborted && !said.has(`${what} ${message}`))
        log.error({ err }, `${what} could not be taken from metadata; trying again`)
      said.add(`${what} ${message}`)
      return false
    }
  }

  async function keepTrying(wish: Wish): Promise<void> {
    const backoff = createBackoff({ firstMs: 1000, maxMs: 30_000 })
    do await clock.sleep(backoff.next(), signal).catch(() => undefined)
    while (!signal.aborted && !(await fulfil(wish)))
  }

  const fulfilled = await Promise.all(wishes.map(fulfil))
  for (const [index, wish] of wishes.entries()) if (!fulfilled[index]) void keepTrying(wish)
}

interface Wish {
  readonly what: string
  readonly isOpen: () => boolean
  readonly fill: (patience: AbortSignal) => Promise<void>
}

/** A name that DNS does not answer for outlasts its request, so the wait ends whether or not the work does. */
const impatiently = (work: (patience: AbortSignal) => Promise<void>, signal: AbortSignal): Promise<void> =>
  withDeadline({ timeoutMs: PATIENCE_MS, what: 'asking metadata' }, signal, work)

/** @returns whether metadata has one */
async function saveCertificate(
  metadata: MetadataValues,
  { path, base64 }: { path: string; base64: boolean },
  signal: AbortSignal,
): Promise<boolean> {
  const pem = await metadata.certificate(signal, { base64 })
  if (pem === undefined) return false
  await writeAtomically(path, pem)
  return true
}

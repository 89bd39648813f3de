import { existsSync } from 'node:fs'
import { rename, writeFile } from 'node:fs/promises'
import type { Settings } from '../../config/schema.js'
import type { ProxyContext } from '../proxy.js'

/** Metadata may be down for as long as it likes: what it could fill in waits no longer than this. */
const PATIENCE_MS = 3000

/**
 * Fills in what predecessor 1 took from metadata: the syslog host where none is set, and the certificate where there is no
 * file (an existing one, a bind mount say, wins). Failing is logged; HAProxy then runs without.
 */
export async function fillFromMetadata(
  settings: Settings,
  env: Record<string, string>,
  { metadata, log }: ProxyContext,
  signal: AbortSignal,
): Promise<void> {
  if (metadata === undefined) return
  const patience = AbortSignal.any([signal, AbortSignal.timeout(PATIENCE_MS)])
  // A name that DNS does not answer for outlasts its request.
  const outOfPatience = new Promise<never>((_, reject) =>
    patience.addEventListener('abort', () => reject(patience.reason)),
  )
  outOfPatience.catch(() => undefined)
  const syslog = async () => {
    const host = await Promise.race([metadata.agentIp(patience), outOfPatience])
    if (host === undefined) return
    env['SYSLOG_HOST'] = host
    log.info({ host }, 'haproxy logs to the host that metadata names')
  }
  const certificate = async () => {
    const asked = metadata.certificate(patience, { base64: settings.haproxy.sslBase64 })
    const pem = await Promise.race([asked, outOfPatience])
    if (pem === undefined) return
    const path = settings.haproxy.sslCert
    await writeFile(`${path}.new`, pem, { mode: 0o600 })
    await rename(`${path}.new`, path)
    log.info({ path }, 'the certificate comes from metadata')
  }
  const complain = (what: string) => (err: unknown) => log.error({ err }, `${what} could not be taken from metadata`)
  await Promise.all([
    settings.syslog.host === '' ? syslog().catch(complain('the syslog host')) : undefined,
    settings.https.enabled && !existsSync(settings.haproxy.sslCert)
      ? certificate().catch(complain('the certificate'))
      : undefined,
  ])
}

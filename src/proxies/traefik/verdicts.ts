import type { Logger } from '../../lib/logger.js'
import type { Fault, Finding } from './probe.js'

/** Keeps what Traefik says of our revisions for `hostler status`, and logs each piece of news once. */
export function createVerdicts(log: Logger) {
  const faults = new Map<string, string>()
  let last: { revision: string; finding: Finding } | undefined
  let logged = ''

  function note({ backend, status, errors }: Fault): void {
    const line = `${backend}: ${status} ${errors.join(', ')}`.trim().slice(0, 500)
    if (faults.get(backend) === line) return
    faults.set(backend, line)
    log.warn({ backend, status, errors }, 'Traefik does not use a router or service as it is')
  }

  function keepOnly(found: readonly Fault[], backends: readonly { name: string }[]): void {
    const present = new Set(backends.map(({ name }) => name))
    const faulty = new Set(found.map(({ backend }) => backend))
    for (const name of faults.keys()) if (!present.has(name) || !faulty.has(name)) faults.delete(name)
    found.forEach(note)
  }

  return {
    isFaulty: (backend: string): boolean => faults.has(backend),
    /** `backends`: all that there are now. The probe has looked at every one that was faulty before. */
    take(finding: Finding, revision: string, backends: readonly { name: string }[]): void {
      last = { revision, finding }
      if (finding.is === 'in force') keepOnly(finding.faults, backends)
      const reason = finding.is === 'unknown' ? finding.reason : ''
      if (reason !== '' && reason !== logged)
        log.warn({ reason }, 'Traefik cannot be asked whether it has the new routes')
      if (reason === '' && logged !== '') log.info('Traefik answers again')
      logged = reason
    },
    describe: (): Record<string, string | boolean> => ({
      inForce: last?.finding.is === 'in force',
      ...(last && { revision: last.revision }),
      ...(last && 'reason' in last.finding && { reason: last.finding.reason }),
      ...(faults.size > 0 && { faults: shortened([...faults.values()]) }),
    }),
  }
}

/** The first few lines of many. */
export const shortened = (lines: readonly string[]): string =>
  lines.length > 10 ? `${lines.slice(0, 10).join('; ')}; and ${lines.length - 10} more` : lines.join('; ')

import { basename } from 'node:path'
import { printable } from '../../../lib/printable.js'
import type { PlannedStep } from '../../proxy.js'
import { type SpareState, stackOf } from './spares.js'
import type { Step } from './types.js'

/**
 * One line for people. Keys and values are shortened; of a certificate nothing but its path is shown.
 * @param spares to speak of the backend that a spare serves; what HAProxy calls it is told besides, in brackets
 */
export function describeStep(step: Step, spares: Pick<SpareState, 'used'> = NO_SPARES): string {
  const text = printable(
    describe(step, (backend) => stackOf(backend, spares) ?? backend),
    200,
  )
  const backend = 'backend' in step ? step.backend : ''
  const isOther = (stackOf(backend, spares) ?? backend) !== backend
  return isOther ? `${text} [${backend}]` : text
}

export function actionOf({ kind }: Step): PlannedStep['action'] {
  if (kind.startsWith('add-')) return 'add'
  return kind.startsWith('remove-') ? 'remove' : 'change'
}

export const NO_SPARES: Pick<SpareState, 'used'> = { used: new Map() }

function describe(step: Step, name: (backend: string) => string): string {
  switch (step.kind) {
    case 'add-server': {
      const options = step.options.length === 0 ? '' : ` (${step.options.join(' ')})`
      return `add server ${name(step.backend)}/${step.server} at ${hostPort(step)}${options}`
    }
    case 'set-address':
      return `move server ${name(step.backend)}/${step.server} to ${hostPort(step)}`
    case 'set-weight':
      return `give server ${name(step.backend)}/${step.server} the weight ${step.weight}`
    case 'set-ready':
      return `take server ${name(step.backend)}/${step.server} out of maintenance`
    case 'remove-server':
      return `drain and remove server ${name(step.backend)}/${step.server}`
    case 'add-backend':
      return `add backend ${step.backend} from defaults ${step.defaults}`
    case 'remove-backend':
      return `remove backend ${step.backend}`
    case 'add-map-entry':
      return `add ${step.key} → ${name(step.value)} to ${basename(step.map)}`
    case 'set-map-entry':
      return `lead ${step.key} to ${name(step.value)} in ${basename(step.map)}`
    case 'remove-map-entry':
      return `remove ${step.key} from ${basename(step.map)}`
    case 'replace-map':
      return `replace ${basename(step.map)} by ${step.entries.size} entries`
    case 'set-certificate':
      return `replace certificate ${step.path}`
    case 'add-certificate':
      return `add certificate ${step.path} to ${basename(step.list)}`
    case 'remove-certificate':
      return `remove certificate ${step.path} from ${basename(step.list)}`
  }
}

const hostPort = ({ address, port }: { readonly address: string; readonly port: number }): string =>
  address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`

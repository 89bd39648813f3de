import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import type { LifecycleEvent } from '../lifecycle/world.js'

/** What is measured of sleep and wake. */
export interface LifecycleMetrics {
  /** A request has begun to wait at the public port, or no longer does. */
  held(group: string, by: 1 | -1): void
  /** From "ready" to the first byte of the answer to a request that was held, in milliseconds. */
  firstByte(ms: number): void
  /** A request to the public port has ended. */
  answered(outcome: string, status: number): void
  happened(event: LifecycleEvent): void
}

const WAKE_BUCKETS = [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300]
const BYTE_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5]

export function createLifecycleMetrics(registry: Registry): LifecycleMetrics {
  const registers = [registry]
  const held = new Gauge({
    ...{ registers, name: 'hostler_held_requests' },
    help: 'Requests that wait at the public port for a stack to be ready.',
  })
  const wakes = new Counter({
    ...{ registers, name: 'hostler_wakes_total', labelNames: ['result'] },
    help: 'Starts of sleeping stacks, by how they ended.',
  })
  const wakeSeconds = new Histogram({
    ...{ registers, name: 'hostler_wake_seconds', buckets: WAKE_BUCKETS },
    help: 'From the first start of a container until the stack was ready.',
  })
  const firstByteSeconds = new Histogram({
    ...{ registers, name: 'hostler_wake_first_byte_seconds', buckets: BYTE_BUCKETS },
    help: 'From ready to the first byte of the answer to a request that was held.',
  })
  const sleeps = new Counter({
    ...{ registers, name: 'hostler_sleeps_total', labelNames: ['reason', 'result'] },
    help: 'Stacks that were to be put to sleep, by why and by what became of it.',
  })
  const answers = new Counter({
    ...{ registers, name: 'hostler_public_requests_total', labelNames: ['outcome'] },
    help: 'Requests to the public port, by what they got.',
  })
  return {
    held: (_group, by) => held.inc(by),
    firstByte: (ms) => firstByteSeconds.observe(ms / 1000),
    answered: (outcome) => answers.inc({ outcome }),
    happened(event) {
      if (event.what === 'slept') {
        sleeps.inc({ reason: event.why, result: event.result })
        return
      }
      wakes.inc({ result: event.what === 'woken' ? 'ready' : event.code.toLowerCase().replaceAll('_', '-') })
      if (event.what === 'woken') wakeSeconds.observe(event.ms / 1000)
    },
  }
}

import type { RancherService } from './shapes.js'

export type ServiceState = 'running' | 'restarting' | 'stopping' | 'stopped'
export type ServiceHealth = 'none' | 'starting' | 'healthy' | 'unhealthy'

/** What its containers do. During an upgrade there are some, and Rancher's endpoints tell which. */
export function stateOf({ state, healthState }: Pick<RancherService, 'state' | 'healthState'>): ServiceState {
  // Each container has run once and ended, as it was asked to.
  if (healthState === 'started-once') return 'stopped'
  if (RUNNING.has(state)) return 'running'
  if (COMING.has(state)) return 'restarting'
  return GOING.has(state) ? 'stopping' : 'stopped'
}

const RUNNING = new Set([
  ...['', 'active', 'updating-active', 'upgrading', 'upgraded', 'finishing-upgrade'],
  ...['canceling-upgrade', 'canceled-upgrade', 'rolling-back'],
])
const COMING = new Set(['activating', 'restarting'])
const GOING = new Set(['deactivating', 'removing'])

/**
 * Rancher calls a service without a health check healthy while all of its containers run. `degraded`: some take traffic, and
 * nobody but the proxy can tell which.
 */
export function healthOf(service: Pick<RancherService, 'state' | 'healthState' | 'launchConfig'>): ServiceHealth {
  const { healthState, launchConfig } = service
  const isUp = stateOf(service) === 'running'
  if (launchConfig?.healthCheck !== true && (!isUp || HEALTHY.has(healthState))) return 'none'
  if (HEALTHY.has(healthState)) return healthState === '' ? 'none' : 'healthy'
  return COMING_UP.has(healthState) ? 'starting' : 'unhealthy'
}

const HEALTHY = new Set(['', 'healthy', 'updating-healthy', 'degraded'])
const COMING_UP = new Set(['initializing', 'reinitializing'])

/** Something is under way, and will end by itself. */
export const isChanging = ({ state, transitioning, healthState }: RancherService): boolean =>
  transitioning === 'yes' || CHANGING.test(state) || COMING_UP.has(healthState)

const CHANGING = /^(?:requested|registering|activating|restarting|deactivating|removing|updating-.*)$/

export const isGone = ({ state }: Pick<RancherService, 'state'>): boolean => /^(?:removed|purging|purged)$/.test(state)

import type { RancherService } from './shapes.js'

export type ServiceState = 'running' | 'restarting' | 'stopping' | 'stopped'
export type ServiceHealth = 'none' | 'starting' | 'healthy' | 'unhealthy'

/** What its containers do. While they are replaced or restarted there are some, and Rancher's endpoints tell which. */
export function stateOf({ state, healthState }: Pick<RancherService, 'state' | 'healthState'>): ServiceState {
  // Each container has run once and ended, as it was asked to.
  if (healthState === 'started-once') return 'stopped'
  if (RUNNING.has(state) || REPLACING.has(state)) return 'running'
  if (state === 'activating') return 'restarting'
  return GOING.has(state) ? 'stopping' : 'stopped'
}

const RUNNING = new Set(['', 'active', 'updating-active', 'upgraded', 'canceled-upgrade'])
/** One container after the other. Where there is but one, none is well for a moment. */
const REPLACING = new Set(['restarting', 'upgrading', 'finishing-upgrade', 'canceling-upgrade', 'rolling-back'])
const GOING = new Set(['deactivating', 'removing'])

/**
 * Rancher calls a service without a health check healthy while all of its containers run. `degraded`: some take traffic, and
 * nobody but the proxy can tell which.
 */
export function healthOf(service: RancherService): ServiceHealth {
  const { state, launchConfig } = service
  const isUp = stateOf(service) === 'running'
  const health = healthStateOf(service)
  if (launchConfig?.healthCheck !== true && (!isUp || HEALTHY.has(health))) return 'none'
  if (HEALTHY.has(health)) return health === '' ? 'none' : 'healthy'
  return COMING_UP.has(health) || REPLACING.has(state) ? 'starting' : 'unhealthy'
}

/**
 * Rancher calls the whole service `initializing` as soon as one of several containers is, however many others serve. Those
 * that have just come are for the proxy and the readiness probe to judge.
 */
function healthStateOf({ healthState, publicEndpoints, scale, secondaryLaunchConfigs }: RancherService): string {
  const isOne = scale * (1 + secondaryLaunchConfigs.length) <= 1 && publicEndpoints.length <= 1
  return COMING_UP.has(healthState) && publicEndpoints.length > 0 && !isOne ? 'degraded' : healthState
}

const HEALTHY = new Set(['', 'healthy', 'updating-healthy', 'degraded'])
const COMING_UP = new Set(['initializing', 'reinitializing'])

/** Something is under way, and will end by itself. */
export const isChanging = ({ state, transitioning, healthState }: RancherService): boolean =>
  transitioning === 'yes' || isOnItsWay({ state }) || COMING_UP.has(healthState)

/** From one state to the next. */
export const isOnItsWay = ({ state }: Pick<RancherService, 'state'>): boolean =>
  REPLACING.has(state) || /^(?:requested|registering|activating|deactivating|removing|updating-.*)$/.test(state)

export const isGone = ({ state }: Pick<RancherService, 'state'>): boolean => /^(?:removed|purging|purged)$/.test(state)

import type { Plan } from '../model/plan.js'

/** The plan without some backends and the routes that lead to them. */
export function withoutBackends(plan: Plan, names: ReadonlySet<string> | ReadonlyMap<string, unknown>): Plan {
  if (names.size === 0) return plan
  return {
    ...plan,
    backends: plan.backends.filter(({ name }) => !names.has(name)),
    routes: plan.routes.filter(({ backend }) => !names.has(backend)),
  }
}

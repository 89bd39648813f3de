import { messageOf } from '../../../lib/errors.js'
import { builtIn } from './built-in.js'
import type { FilePolicyOptions } from './file-policy.js'
import type { Policy } from './policy.js'
import type { Retries } from './retries.js'
import { createServices, type Services } from './services.js'
import type { Wanted } from './wanted.js'

/** One policy of the settings. */
export interface Member {
  readonly wanted: Wanted
  /** Makes it what its file says, when that is not known to be so. */
  load(): Promise<void>
  /** Undefined until it could be loaded. */
  current(): Loaded | undefined
  /** Why it is not what its file says. */
  trouble(): string | undefined
  /** Its file has changed. */
  outdate(): void
  close(): Promise<void>
}

export interface Loaded {
  readonly policy: Policy
  readonly services: Services
}

export interface MemberOptions {
  readonly open: (options: FilePolicyOptions) => Promise<Policy>
  readonly retries: Retries
}

/** Loaded when it is first asked for, anew when its file has changed, and again when that has failed. */
export function createMember(wanted: Wanted, { open, retries }: MemberOptions): Member {
  const where = 'path' in wanted ? wanted.path : 'built in'
  let current: Loaded | undefined
  let trouble: string | undefined
  let isStale = true

  async function load(): Promise<void> {
    if (!isStale && !retries.isDue(where)) return
    isStale = false
    const before = current
    try {
      const policy = 'builtIn' in wanted ? builtIn(wanted.builtIn) : await open(wanted)
      current = { policy, services: await servicesOf(policy, before) }
      trouble = undefined
      retries.settled(where)
      await before?.policy.close?.()
    } catch (error) {
      retries.failed(where)
      trouble = `policy ${wanted.name} (${where}): ${messageOf(error)}; ${before ? 'it goes on as it was' : 'its nodes stay as they were'}`
    }
  }

  return {
    ...{ wanted, load },
    current: () => current,
    trouble: () => trouble,
    outdate: () => {
      isStale = true
    },
    close: async () => current?.policy.close?.(),
  }
}

async function servicesOf(policy: Policy, before: Loaded | undefined): Promise<Services> {
  try {
    return createServices(policy, before?.services.last())
  } catch (error) {
    await policy.close?.()
    throw error
  }
}

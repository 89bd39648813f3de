import { describe, expect, it } from '@jest/globals'
import type { ConsulClient } from '../../../src/lib/consul/client.js'
import type { AgentService } from '../../../src/registries/consul/entries.js'
import { readPresent } from '../../../src/registries/consul/present.js'
import { type AskedEntry, createWriter } from '../../../src/registries/consul/writer.js'

const follows = { CheckID: 'app:announcer', Name: 'hostler lives', AliasService: 'hostler-a-default' }
const own = { CheckID: 'app:http', Name: 'answers', HTTP: 'http://10.0.0.1/', Interval: '10s' }
const service: AgentService = {
  ...{ ID: 'app', Name: 'app', Address: '10.0.0.1', Port: 80, Tags: ['t'], Meta: {}, Checks: [follows, own] },
}

const passing = { Status: 'passing', Output: 'All checks passing.' }
/** As an agent tells a check that was not made since it started. */
const unmade = { Status: 'critical', Output: '' }

/** What is asked of an agent that has the service with its checks in such a state. */
async function callsAt(states: { follows: object; own: object }, asked: Partial<AskedEntry> = {}) {
  const calls: [string, unknown][] = []
  const put: ConsulClient['put'] = async (path, body) => {
    calls.push([path, body])
    return { value: undefined, found: true, isFiltered: false }
  }
  const there = readPresent(
    { app: { ...service, Service: 'app' } },
    {
      a: { CheckID: follows.CheckID, ServiceID: 'app', Notes: '', ...states.follows },
      b: { CheckID: own.CheckID, ServiceID: 'app', Notes: '', ...states.own },
    },
  )
  const writer = createWriter({ put } as ConsulClient)
  const entry = { service, url: '', container: 'app' }
  await writer.write({ entry, ...asked }, there.get('app'), new AbortController().signal)
  return calls
}

// No agent can be made to lose that look: it does so by chance.
describe('what is written to an agent that has started again', () => {
  it('is nothing for what is there and looked after', async () => {
    expect(await callsAt({ follows: passing, own: passing })).toEqual([])
  })

  it('is nothing for a check of its own that has still to be made', async () => {
    expect(await callsAt({ follows: passing, own: unmade })).toEqual([])
  })

  it('is nothing for an entry that follows a heartbeat that failed', async () => {
    const failed = { Status: 'critical', Output: 'Aliased check "hostler-a-default:ttl" failing: TTL expired' }
    expect(await callsAt({ follows: failed, own: passing })).toEqual([])
  })

  it('is the check anew when the agent has lost its first look at the heartbeat', async () => {
    const calls = await callsAt({ follows: unmade, own: passing })
    expect(calls).toEqual([
      ['/agent/check/deregister/app%3Aannouncer', undefined],
      ['/agent/service/register', { ...service, Checks: [{ ...follows, Status: 'passing' }, own] }],
    ])
  })
})

describe('what is written of an entry that', () => {
  const healthy = { follows: passing, own: passing }
  const other = { ...service, Tags: ['other'] }
  const entry = { service: other, url: '', container: 'app' }

  it('shall get no more traffic takes that away first', async () => {
    expect(await callsAt(healthy, { entry, maintenance: 'it is paused' })).toEqual([
      ['/agent/service/maintenance/app?enable=true&reason=it%20is%20paused', undefined],
      ['/agent/service/register', other],
    ])
  })

  it('gets traffic again gives it back last', async () => {
    const out = { CheckID: '_service_maintenance:app', Status: 'critical', Output: '' }
    expect(
      await callsAt({ ...healthy, own: out }, { entry: { ...entry, service: { ...other, Checks: [follows] } } }),
    ).toEqual([
      ['/agent/service/register', { ...other, Checks: [follows] }],
      ['/agent/service/maintenance/app?enable=false', undefined],
    ])
  })
})

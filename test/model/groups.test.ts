import { describe, expect, test } from '@jest/globals'
import fc from 'fast-check'
import { createGrouper, type Groups } from '../../src/model/groups.js'
import type { Instance } from '../../src/model/instance.js'
import { createPlanner } from '../../src/model/planner.js'
import { createWishReader } from '../../src/model/reader.js'
import { instance, rules } from '../support/instances.js'

const grouped = (...instances: Instance[]) => createGrouper(createWishReader(rules))(instances)
const orderOf = (groups: Groups, name: string) => groups.byName.get(name)?.members.map((member) => member.instance.name)
const dependenciesOf = (groups: Groups, id: string) =>
  groups.members.get(`test ${id}`)?.dependsOn.map(({ key, condition }) => `${key.slice(5)} ${condition}`)

/** A container of a Compose project. */
const compose = (name: string, dependsOn = '', labels: Record<string, string> = {}, over: Partial<Instance> = {}) =>
  instance(
    name,
    {
      port: '80',
      'com.docker.compose.project': 'shop',
      'com.docker.compose.service': name,
      ...(dependsOn && { 'com.docker.compose.depends_on': dependsOn }),
      ...labels,
    },
    over,
  )

describe('who belongs together', () => {
  test('a stack is a group; the label names another', () => {
    const groups = grouped(
      instance('a', { port: '80', stack: 'one' }),
      instance('b', { port: '80', stack: 'one' }),
      instance('c', { port: '80', stack: 'two', group: 'one' }),
      instance('d', { port: '80', stack: 'two' }),
    )
    expect(orderOf(groups, 'one')).toEqual(['a', 'b', 'c'])
    expect(orderOf(groups, 'two')).toEqual(['d'])
    expect(groups.nameOf.get('test c')).toBe('one')
  })

  test('what takes no part belongs nowhere', () => {
    expect(grouped(instance('a', { 'com.docker.compose.project': 'shop' })).members.size).toBe(0)
  })

  test('containers of two sources with the same id stay apart', () => {
    const groups = grouped(
      instance('a', { port: '80', stack: 's' }),
      instance('a', { port: '80', stack: 's' }, { source: 'other' }),
    )
    expect(groups.byName.get('s')?.members.map(({ key }) => key)).toEqual(['test a', 'other a'])
  })

  test('a stack of one name in two environments is two groups; a label can make them one', () => {
    const shop = (name: string, environment: string, labels = {}) =>
      instance(name, { port: '80', stack: 'shop', ...labels }, { environment })
    const groups = grouped(
      shop('a', 'Production'),
      shop('b', 'Staging'),
      shop('c', 'Production', { group: 'all' }),
      shop('d', 'Staging', { group: 'all' }),
    )
    expect(orderOf(groups, 'Production/shop')).toEqual(['a'])
    expect(orderOf(groups, 'Staging/shop')).toEqual(['b'])
    expect(orderOf(groups, 'all')).toEqual(['c', 'd'])
  })

  test('a shared database in a group of its own is needed by each group that depends on it', () => {
    const groups = grouped(
      compose('front', 'db:service_healthy:false', { group: 'front' }),
      compose('api', 'db:service_started:true', { group: 'api' }),
      compose('db', '', { group: 'data' }),
    )
    expect(['front', 'api', 'data'].map((name) => groups.byName.get(name)?.needs)).toEqual([['data'], ['data'], []])
  })
})

describe('who waits for whom', () => {
  test('what others need comes first; ties by age', () => {
    const groups = grouped(
      compose('web', 'api:service_started:true,cache:service_started:false'),
      compose('api', 'db:service_healthy:true,migrate:service_completed_successfully:false'),
      compose('migrate', 'db:service_healthy:false'),
      compose('db'),
      compose('cache'),
      compose('worker'),
    )
    expect(orderOf(groups, 'shop')).toEqual(['db', 'migrate', 'api', 'cache', 'web', 'worker'])
    expect(dependenciesOf(groups, 'api')).toEqual(['db healthy', 'migrate completed'])
  })

  test('only what somebody waits to complete is a job', () => {
    const groups = grouped(compose('web', 'migrate:service_completed_successfully:true'), compose('migrate'))
    expect([...groups.members.values()].filter(({ isJob }) => isJob).map(({ key }) => key)).toEqual(['test migrate'])
  })

  test('every container of a scaled service is waited for, and each of them waits', () => {
    const replica = (name: string, service: string, dependsOn = '') =>
      compose(name, dependsOn, { 'com.docker.compose.service': service })
    const groups = grouped(
      replica('web-1', 'web', 'db:service_healthy:true'),
      replica('web-2', 'web', 'db:service_healthy:true'),
      replica('db-1', 'db'),
      replica('db-2', 'db'),
    )
    expect(orderOf(groups, 'shop')).toEqual(['db-1', 'db-2', 'web-1', 'web-2'])
    expect(dependenciesOf(groups, 'web-2')).toEqual(['db-1 healthy', 'db-2 healthy'])
  })

  test.each([
    ['no condition', 'db'],
    ['an unknown condition', 'db:service_blessed:true'],
    ['the name of something that every object has', 'db:constructor:true'],
    ['spaces and empty entries', ' , db:service_started:true ,,'],
    ['the same service twice', 'db:service_started:false,db:service_healthy:false'],
  ])('%s reads as started', (_, dependsOn) => {
    expect(dependenciesOf(grouped(compose('web', dependsOn), compose('db')), 'web')).toEqual(['db started'])
  })

  test.each([
    ['a service that is not there', 'db:service_started:true'],
    ['one of another project', 'other:service_started:true'],
    ['itself', 'web:service_started:true'],
    ['a name of the language', '__proto__:service_started:true,constructor:service_healthy:true'],
    ['nothing but punctuation', '::,:,,:::'],
  ])('a dependency on %s is none', (_, dependsOn) => {
    const other = compose('other', '', { 'com.docker.compose.project': 'elsewhere' })
    expect(dependenciesOf(grouped(compose('web', dependsOn), other), 'web')).toEqual([])
  })

  test('a project name with a line break passes for no other project', () => {
    const liar = compose('liar', '', {
      'com.docker.compose.project': 'shop\ndb',
      'com.docker.compose.service': 'x',
      stack: 'liar',
    })
    const web = compose('web', 'db\nx:service_started:true')
    expect(dependenciesOf(grouped(web, liar), 'web')).toEqual([])
  })

  test('a circle is cut where it closes: what is oldest waits for the others', () => {
    const groups = grouped(
      compose('a', 'b:service_started:true'),
      compose('b', 'c:service_started:true'),
      compose('c', 'a:service_started:true'),
    )
    expect(orderOf(groups, 'shop')).toEqual(['c', 'b', 'a'])
    expect(dependenciesOf(groups, 'c')).toEqual([])
  })

  test('a circle across groups leaves each needing the other where containers do', () => {
    const groups = grouped(
      compose('web', 'db:service_started:true', { group: 'front' }),
      compose('db', '', { group: 'data' }),
      compose('exporter', 'web:service_started:true', { group: 'data' }),
    )
    expect(groups.byName.get('front')?.needs).toEqual(['data'])
    expect(groups.byName.get('data')?.needs).toEqual(['front'])
  })

  test('a chain as long as there are containers is followed to its end', () => {
    const chain = Array.from({ length: 20_000 }, (_, index) =>
      compose(`s${index}`, `s${index + 1}:service_started:true`),
    )
    expect(orderOf(grouped(...chain), 'shop')?.[0]).toBe('s19999')
  })

  test('whatever the labels say, each comes after what it waits for, and none is lost', () => {
    const services = fc.array(fc.array(fc.nat(7), { maxLength: 4 }), { minLength: 1, maxLength: 8 })
    fc.assert(
      fc.property(services, fc.array(fc.nat(2), { minLength: 8, maxLength: 8 }), (edges, groupOf) => {
        const members = edges.map((targets, index) =>
          compose(`s${index}`, targets.map((to) => `s${to}:service_healthy:true`).join(), {
            group: `g${groupOf[index]}`,
          }),
        )
        const groups = grouped(...members)
        const place = new Map([...groups.members.keys()].map((key, index) => [key, index]))
        expect(groups.members.size).toBe(members.length)
        for (const [key, { dependsOn }] of groups.members) {
          for (const dependency of dependsOn) expect(place.get(dependency.key)).toBeLessThan(place.get(key)!)
        }
        for (const { members: own } of groups.byName.values()) {
          const places = own.map(({ key }) => place.get(key)!)
          expect(places).toEqual([...places].sort((a, b) => a - b))
        }
      }),
    )
  })
})

describe('what may be started again', () => {
  const wakes = (labels: Record<string, string>) => {
    const member = grouped(compose('a', '', { wake: 'true', ...labels })).members.get('test a')
    return member?.wishes.lifecycle.wake
  }

  test('a service of Compose, but neither the container of a single command nor a task of Swarm', () => {
    expect(wakes({ 'com.docker.compose.oneoff': 'False' })).toBe(true)
    expect(wakes({ 'com.docker.compose.oneoff': 'True' })).toBe(false)
    expect(wakes({ 'com.docker.swarm.task.id': 'x1' })).toBe(false)
  })

  test('what a single command left behind holds no hostname and is not what others wait for', () => {
    const leftover = compose('run-1', '', { wake: 'true', 'com.docker.compose.oneoff': 'True' }, { state: 'stopped' })
    expect(createPlanner(rules)([leftover]).backends).toEqual([])
    const named = { ...leftover, labels: { ...leftover.labels, 'com.docker.compose.service': 'db' } }
    expect(dependenciesOf(grouped(compose('web', 'db:service_started:true'), named), 'web')).toEqual([])
  })
})

describe('from one look to the next', () => {
  const set = () => [
    compose('web', 'db:service_healthy:false', { group: 'front' }),
    compose('db', '', { group: 'data' }),
    instance('other', { port: '80' }),
    instance('stranger', {}),
  ]

  test('the same array gives the same object', () => {
    const group = createGrouper(createWishReader(rules))
    const instances = set()
    expect(group(instances)).toBe(group(instances))
  })

  test('a container that starts or fails makes only its own group new', () => {
    const group = createGrouper(createWishReader(rules))
    const before = set()
    const first = group(before)
    const now = before.with(1, { ...before[1]!, state: 'stopped' })
    const second = group(now)
    expect(second.members.get('test db')?.instance).toBe(now[1])
    expect(second.byName.get('data')?.members[0]?.instance).toBe(now[1])
    expect(second.byName.get('front')).toBe(first.byName.get('front'))
    expect(first.members.get('test db')?.instance).toBe(before[1])
  })

  test('after any changes it says the same as when looking for the first time', () => {
    const variants = fc.constantFrom<Partial<Instance>>(
      { state: 'stopped' },
      { health: 'unhealthy' },
      { name: 'renamed' },
      { createdAt: 5 },
      { id: 'recreated' },
      { labels: {} },
      { labels: { 'hostler.port': '80', 'hostler.group': 'data' } },
      {
        labels: {
          'hostler.port': '80',
          'hostler.group': 'data',
          'com.docker.compose.project': 'shop',
          'com.docker.compose.service': 'db',
          'com.docker.compose.depends_on': 'web',
        },
      },
    )
    const step = fc.record({ at: fc.nat(5), change: fc.option(variants), moved: fc.boolean(), more: fc.nat(2) })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 6 }), (steps) => {
        const group = createGrouper(createWishReader(rules))
        let instances: Instance[] = set()
        group(instances)
        for (const [round, { at, change, moved, more }] of steps.entries()) {
          const comers = Array.from({ length: more }, (_, index) =>
            compose(`more-${round}-${index}`, index > 0 ? 'db,web' : '', { group: at > 2 ? 'data' : 'front' }),
          )
          instances = instances.toSpliced(at, 0, ...comers)
          const old = instances[at]
          if (change === null || !old) instances = instances.filter((_, index) => index !== at)
          else instances = instances.with(at, { ...old, ...change, id: change.id ? `${change.id}${round}` : old.id })
          if (moved) instances = instances.toReversed()
          expect(group(instances)).toEqual(grouped(...instances))
        }
      }),
    )
  })
})

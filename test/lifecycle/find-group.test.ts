import { describe, expect, test } from '@jest/globals'
import { findGroup } from '../../src/lifecycle/find-group.js'
import { createGrouper } from '../../src/model/groups.js'
import { createWishReader } from '../../src/model/reader.js'
import { instance, rules } from '../support/instances.js'

const groups = createGrouper(createWishReader(rules))([
  instance('shop-web-1', { port: '80', stack: 'shop', service: 'web' }),
  instance('shop-db-1', { port: 'none', stack: 'shop', service: 'db' }),
  instance('blog-web-1', { port: '80', stack: 'blog', service: 'web' }),
  instance('x', { port: '80', stack: 'apart', group: 'shop' }, { id: 'abcdef0123456789' }),
])

describe('the group that is meant', () => {
  test.each([
    ['shop', 'shop'],
    ['blog', 'blog'],
    ['apart', 'shop'],
    ['shop-db-1', 'shop'],
    ['abcdef012345', 'shop'],
    ['db', 'shop'],
  ])('by %s is %s', (name, group) => expect(findGroup(groups, name)).toBe(group))

  test('is that of a stack also where it has its environment before it, unless there are several', () => {
    const inEnvironment = (name: string, stack: string, environment: string) =>
      instance(name, { port: '80', stack }, { environment })
    const some = createGrouper(createWishReader(rules))([
      inEnvironment('a', 'shop', 'Production'),
      inEnvironment('b', 'shop', 'Staging'),
      inEnvironment('c', 'blog', 'Staging'),
    ])
    expect(findGroup(some, 'blog')).toBe('Staging/blog')
    expect(findGroup(some, 'Staging/shop')).toBe('Staging/shop')
    expect(() => findGroup(some, 'shop')).toThrow('several stacks: Production/shop, Staging/shop')
  })

  test('is asked for when a service is in several', () => {
    expect(() => findGroup(groups, 'web')).toThrow('"web" is in several stacks: blog, shop. Name one of them.')
  })

  test('is looked for by what sounds like it', () => {
    expect(() => findGroup(groups, 'shpo')).toThrow(
      'no stack, container or service is called "shpo". Did you mean shop?',
    )
  })
})

import { expect, test } from '@jest/globals'
import { createKeys } from '../../../src/registries/etcd/keys.js'
import { createKnowledge } from '../../../src/registries/etcd/knowledge.js'
import { createView } from '../../../src/registries/etcd/view.js'

const keys = createKeys('/hostler')
const theirs = { process: 'b', value: '2', modRevision: 6n }
const mine = { process: 'a', value: '1', modRevision: 7n }

function setting() {
  const view = createView(keys)
  view.replace({ entries: [], revision: '5', cluster: '1' })
  const knowledge = createKnowledge(view)
  knowledge.learn('/x', 'a', { others: [theirs], own: mine, revision: 7n })
  return { view, knowledge }
}

test('what others claim is known from a transaction of our own before the view has heard of it', () => {
  expect(setting().knowledge.of('/x', 'a')).toEqual({ others: [theirs], own: mine, revision: 7n })
})

test('what the view has seen since counts more, and so does it for whoever has another lease now', () => {
  const { view, knowledge } = setting()
  expect(knowledge.of('/x', 'c')).toEqual({ others: [], own: undefined, revision: 5n })
  view.apply([], 8n)
  expect(knowledge.of('/x', 'a')).toEqual({ others: [], own: undefined, revision: 8n })
})

test('nothing is known of another store', () => {
  const { knowledge } = setting()
  knowledge.forget()
  expect(knowledge.of('/x', 'a')).toEqual({ others: [], own: undefined, revision: 5n })
})

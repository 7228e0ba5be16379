/** Which peer a conversation to a capability goes to: kept over restarts, forgotten only where nothing waits. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { MAX_BINDINGS, openConversationBindings } from '../../../../protocols/delivery/send/conversation-bindings.ts'
import { BINDINGS } from '../../../../protocols/delivery/store/delivery-rows.ts'
import { createVolatileRowStore } from '../../../../protocols/delivery/store/volatile-row-store.ts'
import { keysOf } from '../../../support/delivery-pair.ts'

const of = (conversationId: string | undefined, capability = 'note') => ({ capability, conversationId })

const open = async (store = createVolatileRowStore('0'.repeat(32))) => {
  const world = { forgotten: 0 }
  const bindings = await openConversationBindings(store, (count) => {
    world.forgotten += count
  })
  const bind = (conversationId: string | undefined, peer: string, movedAt?: number): number => {
    const changes = bindings.bind(of(conversationId), peer, movedAt)
    store.later(changes)
    return changes.length
  }
  const rows = async (): Promise<number> => (await keysOf(store, BINDINGS)).length
  return { bindings, bind, store, rows, world }
}

test('a conversation is bound once, with one row, and a restart knows it and when it was moved', async () => {
  const { bindings, bind, store, rows } = await open()
  assert.deepEqual([bind('c', 'p'), bind('c', 'p'), bind('d', 'p'), await rows()], [1, 0, 1, 2])
  assert.deepEqual([bind(undefined, 'p'), bindings.peerOf(of(undefined))], [0, undefined])
  assert.deepEqual([bindings.peerOf(of('c')), bindings.peerOf(of('c', 'other'))], ['p', undefined])
  assert.deepEqual([bind('c', 'q', 77), await rows()], [1, 2])
  const again = await open(store)
  assert.deepEqual([again.bindings.peerOf(of('c')), again.bindings.movedAt(of('c'))], ['q', 77])
  assert.deepEqual([again.bindings.peerOf(of('d')), again.bindings.movedAt(of('d'))], ['p', undefined])
  again.bind('e', 'p')
  assert.equal(await again.rows(), 3, 'a row of its own')
})

test('what the outbox holds is bound where no row tells of it, and gets its row with the next message', async () => {
  const { bindings, bind, rows } = await open()
  bindings.messageAdded(of('c'), 'p')
  bindings.messageAdded(of('c'), 'p')
  assert.deepEqual([bindings.peerOf(of('c')), bindings.waiting(of('c')), await rows()], ['p', 2, 0])
  assert.deepEqual([bind('c', 'p'), await rows()], [1, 1])
  bindings.messageRemoved(of('c'))
  assert.equal(bindings.waiting(of('c')), 1)
})

test('beyond the bound the one used longest ago is forgotten, and none that has messages in the outbox', async () => {
  const { bindings, bind, rows, world } = await open()
  for (let i = 0; i < MAX_BINDINGS; i += 1) bind(`c${i}`, 'p')
  assert.deepEqual([bindings.size(), world.forgotten], [MAX_BINDINGS, 0])
  bindings.messageAdded(of('c1'), 'p')
  bind('c0', 'p')
  bind('one more', 'p')
  assert.deepEqual([bindings.size(), world.forgotten, await rows()], [MAX_BINDINGS, 1, MAX_BINDINGS])
  assert.deepEqual(
    ['c0', 'c1', 'c2'].map((id) => bindings.peerOf(of(id))),
    ['p', 'p', undefined],
  )
})

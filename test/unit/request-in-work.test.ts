/** Commands and durable messages that are sent on behalf of a request, in virtual time. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as z from 'zod'
import { createTestMesh, type TestNode } from '../../node/testing/index.ts'
import { Slice } from '../../protocols/budget/slice.ts'
import type { CommandContext } from '../../protocols/command/api.ts'
import type { MessageContext } from '../../protocols/delivery/api.ts'
import { defineMessage } from '../../protocols/delivery/define-message.ts'
import { ParleyError } from '../../protocols/errors.ts'
import { checkParent, leftOf, signalOf } from '../../protocols/request-in-work.ts'

const Ask = defineMessage({ type: 'ask', version: '1.0.0', schema: z.number() })
const Told = defineMessage({ type: 'told', version: '1.0.0', schema: z.number() })

const start = async (...names: string[]) => {
  const mesh = await createTestMesh({ seed: 11 })
  const nodes = new Map<string, TestNode>()
  for (const name of names) nodes.set(name, await mesh.node(name))
  const get = (name: string): TestNode => nodes.get(name) ?? assert.fail(name)
  const known = () =>
    mesh.until(() => names.every((one) => names.every((other) => one === other || get(one).directory.find(other))))
  const named = (chain: unknown): string[] =>
    (chain as string[]).map((hop) => names.reduce((text, name) => text.replace(get(name).self.id, name), hop))
  const errorOf = async (promise: Promise<unknown>): Promise<ParleyError> => {
    const [result] = await mesh.settled(Promise.allSettled([promise]))
    if (result?.status === 'rejected' && result.reason instanceof ParleyError) return result.reason
    return assert.fail(`no error: ${JSON.stringify(result)}`)
  }
  return { mesh, get, known, named, errorOf, [Symbol.asyncDispose]: () => mesh[Symbol.asyncDispose]() }
}

test('a parent is the context of a handler, with an end of its own and that of its call', () => {
  const { signal } = new AbortController()
  const parent = { chain: ['root', 'a/x.y'], signal }
  assert.equal(checkParent(parent), parent)
  assert.equal(leftOf(parent), Number.POSITIVE_INFINITY)
  assert.equal(leftOf({ ...parent, remainingMs: () => 7 }), 7)
  assert.equal(signalOf(parent, undefined), signal)
  assert.equal(signalOf(parent, AbortSignal.abort()).aborted, true)
  for (const wrong of [undefined, null, 1, {}, { chain: [] }, { chain: 'x', signal }, { signal }])
    assert.throws(() => checkParent(wrong), { code: 'MSG001' })
})

test('a command on behalf of a command carries its chain, and comes back for another type only', async () => {
  await using all = await start('root', 'a', 'b')
  const chains: string[][] = []
  const pass = (name: string, to: string, type: string) => async (_: unknown, context: CommandContext) => {
    chains.push(all.named(context.chain))
    const { result } = await all.get(name).commands.send(to, type, 1, { parent: context })
    return result
  }
  await all.mesh.settled(all.get('a').commands.register('work', pass('a', 'b', 'work')))
  await all.mesh.settled(all.get('a').commands.register('ask', (_, { chain }) => all.named(chain)))
  await all.mesh.settled(all.get('b').commands.register('work', pass('b', 'a', 'ask')))
  await all.known()
  const { result } = await all.mesh.settled(all.get('root').commands.send('a', 'work', 1))
  assert.deepEqual(result, ['root', 'a/command-work.run', 'b/command-work.run', 'a/command-ask.run'])
  assert.deepEqual(chains, [
    ['root', 'a/command-work.run'],
    ['root', 'a/command-work.run', 'b/command-work.run'],
  ])
})

test('a command that comes back for the same is refused with its chain, once, and not sent elsewhere in vain', async () => {
  await using all = await start('root', 'a', 'b')
  let runs = 0
  const pass = (name: string, to: { capability: string }) => async (_: unknown, context: CommandContext) => {
    runs += 1
    return (await all.get(name).commands.send(to, 'work', 1, { parent: context })).result
  }
  await all.mesh.settled(all.get('a').commands.register('work', pass('a', { capability: 'work' })))
  // Nobody but a and b offers it.
  await all.mesh.settled(all.get('b').commands.register('work', pass('b', { capability: 'work' })))
  await all.known()
  await all.mesh.until(() => all.get('root').directory.offers('command-work', 1).length === 2)
  const error = await all.errorOf(all.get('root').commands.send('a', 'work', 1))
  assert.deepEqual([error.code, error.details.status], ['STA003', 'nack'])
  assert.deepEqual(all.named(error.details.chain), [
    'root',
    'a/command-work.run',
    'b/command-work.run',
    'a/command-work.run',
  ])
  assert.equal(runs, 2)
})

test('a command has at most the time that is left for its parent', async () => {
  await using all = await start('root', 'a', 'b')
  let leftMs = 0
  const slow = (_: unknown, { remainingMs, signal }: CommandContext): Promise<void> => {
    leftMs = remainingMs()
    return new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
  }
  await all.mesh.settled(all.get('b').commands.register('slow', slow))
  await all.mesh.settled(
    all.get('a').commands.register('work', async (_, context) => {
      await all.get('a').commands.send('b', 'slow', 1, { parent: context })
    }),
  )
  await all.known()
  const error = await all.errorOf(all.get('root').commands.send('a', 'work', 1, { timeoutMs: 4_000 }))
  assert.equal(error.code, 'COM001')
  assert.ok(leftMs > 0 && leftMs <= 4_000, `${leftMs}`)
})

test('a message on behalf of a message carries its chain, its answer none', async () => {
  await using all = await start('root', 'a', 'b')
  const chains: Record<string, string[]> = {}
  const note = (name: string, { chain }: MessageContext) => {
    chains[name] = all.named(chain)
  }
  await all.mesh.settled(
    all.get('a').messages.receive(Ask, async (n, context) => {
      note('a', context)
      await context.tx.send('b', Ask, n, { parent: context })
      await context.reply(Told, n)
    }),
  )
  await all.mesh.settled(all.get('b').messages.receive(Ask, (_n, context) => note('b', context)))
  await all.mesh.settled(all.get('root').messages.receive(Told, (_n, context) => note('root', context)))
  await all.known()
  await all.mesh.settled(all.get('root').messages.send('a', Ask, 1))
  await all.mesh.until(() => Object.keys(chains).length === 3)
  assert.deepEqual(chains, {
    a: ['root', 'a/message:ask'],
    b: ['root', 'a/message:ask', 'b/message:ask'],
    root: ['a', 'root/message:told'],
  })
})

test('a message of a request with a budget has its limits and nothing to spend, and so has what is sent for it', async () => {
  await using all = await start('root', 'a', 'b')
  const seen: unknown[] = []
  const errors: unknown[] = []
  await all.mesh.settled(
    all.get('a').messages.receive(Ask, async (n, context) => {
      seen.push([context.budget?.remaining(), context.budget?.limits.depth])
      await context.tx.send('b', Ask, n, { parent: context }).catch((error: ParleyError) => errors.push(error.reason))
    }),
  )
  await all.known()
  const slice = new Slice({ amounts: { tokens: 9, fanOut: 2 }, limits: { depth: 1 } })
  const { signal } = new AbortController()
  const parent = { chain: ['root', `${all.get('root').self.id}/x.y`], signal, budget: slice }
  await all.mesh.settled(all.get('root').messages.send('a', Ask, 1, { parent }))
  await all.mesh.until(() => errors.length === 1)
  assert.deepEqual(seen, [[{ tokens: 0, fanOut: 0 }, 0]])
  assert.deepEqual(errors, ['budget-exhausted'])
  assert.deepEqual(slice.remaining(), { tokens: 9, fanOut: 1 })
})

test('a message that comes back for the same is not sent, and whoever sends it hears why', async () => {
  await using all = await start('root', 'a', 'b')
  const errors: ParleyError[] = []
  const send = (name: string, to: string | { capability: string }) => async (n: number, context: MessageContext) => {
    const failed = (error: unknown): void => void errors.push(error as ParleyError)
    await all.get(name).messages.send(to, Ask, n, { parent: context }).catch(failed)
  }
  await all.mesh.settled(all.get('a').messages.receive(Ask, send('a', { capability: 'ask' })))
  await all.mesh.settled(all.get('b').messages.receive(Ask, send('b', { capability: 'ask' })))
  await all.known()
  await all.mesh.settled(all.get('root').messages.send('a', Ask, 1))
  await all.mesh.until(() => errors.length > 0)
  await all.mesh.run(5_000)
  assert.equal(errors.length, 1)
  assert.equal(errors[0]?.reason, 'delegation-cycle')
  assert.equal(all.named(errors[0]?.details.chain).slice(0, 3).join(), 'root,a/message:ask,b/message:ask')
})

test('a message whose chain is a lie becomes a dead letter of its sender after one attempt', async () => {
  await using all = await start('a', 'b')
  let handled = 0
  await all.mesh.settled(
    all.get('b').messages.receive(Ask, () => {
      handled += 1
    }),
  )
  await all.known()
  const { signal } = new AbortController()
  const send = (chain: string[]) => all.get('a').messages.send('b', Ask, 1, { parent: { chain, signal } })
  for (const [chain, reason] of [
    [['root', 'x/y'], 'delegation-chain'],
    [['a b', `${all.get('a').self.id}/x.y`], undefined],
  ] as const) {
    const receipt = await all.mesh.settled(send([...chain]))
    const error = await all.errorOf(receipt.delivered())
    assert.deepEqual([error.details.reason, error.details.attempts], [reason, 1])
  }
  assert.equal(handled, 0)
  const deep = Array.from({ length: 33 }, () => 'p/x.y')
  assert.equal((await all.errorOf(send(deep))).reason, 'delegation-depth')
})

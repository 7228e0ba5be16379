import assert from 'node:assert/strict'
import { test } from 'node:test'
import { z } from 'zod'
import { createTestMesh } from '../../../../node/testing/index.ts'
import { defineProtocol } from '../../../../protocols/define.ts'
import { defineMessage } from '../../../../protocols/delivery/define-message.ts'
import { isParleyError } from '../../../../protocols/errors.ts'
import { defineEvent } from '../../../../protocols/events/define-event.ts'

const Work = defineMessage({ type: 'work', version: '1.0.0', schema: z.object({ n: z.number() }) })
const News = defineEvent({ topic: 'news.told', version: '1.0.0', schema: z.object({ n: z.number() }) })
const Echo = defineProtocol({
  name: 'echo',
  version: '1.0.0',
  methods: { say: { request: z.string(), response: z.string() } },
})

/** Messages under loss, a crash in between; what was handled, when. */
const work = async (seed: number): Promise<string[]> => {
  await using mesh = await createTestMesh({ seed })
  const a = await mesh.node('alpha')
  const b = await mesh.node('beta')
  const trace: string[] = []
  const receive = () => b2().messages.receive(Work, async ({ n }) => void trace.push(`${mesh.now().toFixed(3)} ${n}`))
  let current = b
  const b2 = () => current
  await mesh.settled(receive())
  await mesh.until(() => a.directory.find('beta') !== undefined)
  mesh.loss(0.2)
  for (let n = 0; n < 5; n += 1) await mesh.settled(a.messages.send(b.self.id, Work, { n }))
  await mesh.until(() => trace.length >= 5)
  // A handler whose end is not on the disk yet runs again.
  await mesh.run(5_000)
  mesh.crash(b)
  for (let n = 5; n < 10; n += 1) await mesh.settled(a.messages.send(b.self.id, Work, { n }))
  current = await mesh.restart('beta')
  await mesh.settled(receive())
  await mesh.until(() => trace.length >= 10)
  await mesh.run(10_000)
  return trace
}

test('durable messages arrive once each, whatever is lost, and although their receiver crashes', async () => {
  const numbers = (await work(7)).map((line) => Number(line.split(' ')[1]))
  assert.deepEqual(
    numbers.toSorted((x, y) => x - y),
    [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
  )
})

test('the same seed gives the same run, and another seed another one', async () => {
  const first = await work(3)
  assert.deepEqual(await work(3), first)
  assert.notDeepEqual(await work(4), first)
})

test('events of a partition come when it is healed', async () => {
  await using mesh = await createTestMesh()
  const a = await mesh.node('alpha')
  const b = await mesh.node('beta')
  const heard: number[] = []
  b.events.subscribe(News, ({ data }) => void heard.push(data.n))
  await mesh.run(2_000)
  await mesh.settled(a.events.publish(News, { n: 1 }))
  await mesh.until(() => heard.length === 1)
  mesh.partition([a], [b])
  await mesh.settled(a.events.publish(News, { n: 2 }))
  await mesh.run(3_000)
  assert.deepEqual(heard, [1])
  mesh.heal()
  await mesh.until(() => heard.length === 2)
  assert.deepEqual(heard, [1, 2])
})

test('a node is called by its name, and what is waited for in vain is told with the seed', async () => {
  await using mesh = await createTestMesh({ seed: 9 })
  const a = await mesh.node('alpha')
  const b = await mesh.node('beta')
  await mesh.settled(b.serve(Echo, { say: async (text) => `${text}!` }))
  await mesh.until(() => a.directory.find('beta') !== undefined)
  assert.equal(await mesh.settled(a.to('beta', Echo).say('hello')), 'hello!')
  await assert.rejects(
    mesh.until(() => false, { withinMs: 100, what: 'the impossible' }),
    (error) => {
      assert.ok(isParleyError(error))
      assert.equal(error.code, 'COM001')
      assert.match(error.message, /100 virtual ms with the seed 9: the impossible/)
      return true
    },
  )
  await assert.rejects(mesh.node('beta'), { code: 'MSG001' })
  await assert.rejects(mesh.restart('gamma'), { code: 'MSG001' })
  assert.throws(() => mesh.loss(2), { code: 'MSG001' })
})

test('a timer of 0 ms that starts itself again is told, time does not stand still for ever; a test can go on', async () => {
  await using mesh = await createTestMesh()
  const a = await mesh.node('alpha')
  let isLooping = true
  const again = (): void => {
    if (isLooping) a.port.timers.after(0, again)
  }
  again()
  const told = { code: 'COM003', message: /100000 timers ran, and virtual time still stands at/ }
  await assert.rejects(mesh.run(10), told)
  await assert.rejects(mesh.settled(new Promise(() => {})), told)
  isLooping = false
  const before = mesh.now()
  await mesh.run(10)
  assert.equal(mesh.now(), before + 10)
})

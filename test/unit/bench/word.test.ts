import assert from 'node:assert/strict'
import { test } from 'node:test'
import { giveWord, hearWord } from '../../bench/word.ts'

test('a word resolves the one who waits for it, and a second copy changes nothing', async () => {
  const giving = await giveWord()
  const hearing = await hearWord(giving.port)
  const ids = [0, 1, 4_294_967_295, ...Array.from({ length: 50_000 }, (_, i) => 1_000 + i)]
  const all = ids.map((id) => hearing.heard(id))
  // The other side has accepted once it answers; a word before that would go to nobody.
  for (let isHeard = false; !isHeard; ) {
    const probe = hearing.heard(500)
    giving.give(500)
    isHeard = await Promise.race([
      probe.then(() => true),
      new Promise<false>((done) => setImmediate(() => done(false))),
    ])
  }
  for (const id of ids) giving.give(id)
  giving.give(0)
  await Promise.all(all)
  await hearing.stop()
  await giving.stop()
})

test('whoever waits for a consumer that is gone is told', async () => {
  const giving = await giveWord()
  const hearing = await hearWord(giving.port)
  const waiting = hearing.heard(1)
  await hearing.stop()
  await assert.rejects(waiting, /the consumer is gone/)
  await assert.rejects(hearing.heard(2), /the consumer is gone/)
  await giving.stop()
})

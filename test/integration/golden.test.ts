/** Data directories that earlier versions wrote (test/golden/): this one opens each, and all that was kept is there. */
import assert from 'node:assert/strict'
import { chmod, cp, mkdir, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import * as z from 'zod'
import { verifyStore } from '../../node/cli/commands/store/store-verify.ts'
import { defineMessage } from '../../node/index.ts'
import { recordFileIdentity } from '../../node/store/files/copy-detection.ts'
import { run } from '../support/caught-output.ts'
import { testFolder } from '../support/folder.ts'
import { LEDGER, ledger } from '../support/ledger-part.ts'
import { openAlone } from '../support/lone-node.ts'
import { until } from '../support/until.ts'

const GOLDEN = join(import.meta.dirname, '..', 'golden')
const FOUND_MS = 20_000
const Parcel = defineMessage({ type: 'golden.parcel', version: '1.0.0', schema: z.object({ n: z.number() }) })

const ExpectedSchema = z.object({
  secret: z.string(),
  peer: z.string(),
  decisions: z.number(),
  /** Of a collection; versions before there were any have none. */
  rows: z.number().default(0),
  events: z.number(),
  outbox: z.number(),
  inbox: z.number(),
  deadLetters: z.number(),
  state: z.object({ count: z.number(), largest: z.number() }),
})

/** As it was on its first machine: private, and where it was. */
const put = async (from: string, to: string): Promise<void> => {
  await mkdir(to, { recursive: true, mode: 0o700 })
  await cp(from, to, { recursive: true })
  for (const entry of await readdir(to, { recursive: true, withFileTypes: true }))
    await chmod(join(entry.parentPath, entry.name), entry.isDirectory() ? 0o700 : 0o600)
  for (const part of ['journal', 'messages']) await recordFileIdentity(join(to, part))
}

const open = (dataDir: string, secret: string) =>
  openAlone(dataDir, {
    name: 'golden',
    secret,
    parts: [ledger],
    events: { history: [{ topic: 'golden.#', store: 'disk', maxEvents: 1_000 }] },
  })

for (const name of (await readdir(GOLDEN, { withFileTypes: true })).filter((one) => one.isDirectory()))
  for (const kind of ['stopped', 'killed'])
    test(`${name.name}, ${kind}: it is opened, twice, and nothing is missing`, async (t) => {
      const golden = join(GOLDEN, name.name)
      const expected = ExpectedSchema.parse(JSON.parse(await readFile(join(golden, 'expected.json'), 'utf8')))
      const dataDir = join(await testFolder(t), 'data')
      await put(join(golden, kind), dataDir)
      for (const round of [1, 2]) {
        const mesh = await open(dataDir, expected.secret)
        try {
          assert.equal(mesh.self.id, expected.peer)
          await mesh.coordinator.found({ timeoutMs: FOUND_MS })
          assert.equal((await mesh.journal.list('golden/')).records.length, expected.decisions)
          const { rows } = await mesh.journal.rows(LEDGER)
          assert.deepEqual(
            rows.map(({ value }) => Object(value).n),
            Array.from({ length: expected.rows }, (_, n) => n),
          )
          assert.equal(await mesh.messages.state.get('count'), expected.state.count)
          assert.equal(String(await mesh.messages.state.get('largest')).length, expected.state.largest)
          await mesh.messages.inbox.open({ types: [Parcel] })
          assert.equal(mesh.messages.inbox.size(), expected.inbox)
          const letters = await mesh.messages.deadLetters.list()
          // The message that had a time to live may have become one only now.
          assert.ok(letters.length >= expected.deadLetters, `${letters.length} dead letters`)
          assert.equal(mesh.messages.figures().outbox, expected.outbox)
          let heard = 0
          const reading = await mesh.events.subscribe(
            'golden.events',
            () => {
              heard += 1
            },
            { from: 'earliest' },
          )
          await until('the events', () => heard === expected.events + round - 1)
          await reading.stop()
          if (kind === 'stopped') {
            // Its position is kept: it goes on where it stopped.
            const next: unknown[] = []
            const named = await mesh.events.subscribe('golden.events', ({ data }) => void next.push(data), {
              from: 'earliest',
              ack: true,
              name: 'reader',
            })
            await mesh.events.publish('golden.events', { round })
            await until('the event', () => next.length > 0)
            assert.deepEqual(next, [{ round }])
            await named.stop()
          } else await mesh.events.publish('golden.events', { round })
        } finally {
          await mesh.stop()
        }
        assert.equal((await run(t, () => verifyStore({ dataDir }))).error, undefined, `round ${round}`)
      }
      assert.deepEqual((await readdir(join(dataDir, 'messages'))).sort(), ['place.json', 'rows'])
    })

test('messages of an earlier version that are damaged are refused with what to do, and nothing is changed', async (t) => {
  const { secret } = ExpectedSchema.parse(
    JSON.parse(await readFile(join(GOLDEN, '0.1-leveldb', 'expected.json'), 'utf8')),
  )
  const dataDir = join(await testFolder(t), 'data')
  await put(join(GOLDEN, '0.1-leveldb', 'stopped'), dataDir)
  const db = join(dataDir, 'messages', 'db')
  const log = join(db, (await readdir(db)).find((one) => one.endsWith('.log')) ?? '')
  const whole = await readFile(log)
  const spoiled = Buffer.from(whole)
  spoiled.fill(0xff, spoiled.length >> 1, (spoiled.length >> 1) + 20)
  await writeFile(log, spoiled)
  await assert.rejects(open(dataDir, secret), {
    code: 'STA003',
    details: { reason: 'damaged' },
    hint: /with the version that wrote them/,
  })
  assert.deepEqual((await readdir(join(dataDir, 'messages'))).sort(), ['db', 'mark', 'place.json'])
  assert.deepEqual(await readFile(log), spoiled)
  await writeFile(log, whole)
  const mesh = await open(dataDir, secret)
  assert.equal(await mesh.messages.state.get('count'), 3)
  await mesh.stop()
})

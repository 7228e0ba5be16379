/** messages_total over real traffic: two nodes over loopback TCP, read as a scraper reads them. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import * as z from 'zod'
import {
  createMesh,
  defineProtocol,
  isParleyError,
  type Mesh,
  makeSecret,
  ParleyError,
} from '../../../../../node/index.ts'
import { testFolder } from '../../../../support/folder.ts'
import { failureOf, until } from '../../../../support/until.ts'

const shop = defineProtocol({
  name: 'shop',
  version: '1.0.0',
  methods: {
    buy: { request: z.string(), response: z.string() },
    list: { request: z.number(), stream: z.number() },
    note: { request: z.string(), oneWay: true },
  },
})

const scrape = async ({ healthUrl }: Mesh) => {
  const text = await (await fetch(`${healthUrl}/metrics`)).text()
  const rows = [...text.matchAll(/^messages_total\{direction="(\w+)",type="(\w+)",status="(\w+)"\} (\d+)$/gm)]
  return new Map(rows.map(([, direction, type, status, value]) => [`${direction} ${type} ${status}`, Number(value)]))
}

test('every type of message is counted on both sides, by what became of it', { timeout: 60_000 }, async (t) => {
  const secret = makeSecret()
  const common = { secret, health: 0, log: 'silent' } as const
  const host = await createMesh({ ...common, name: 'host', dataDir: await testFolder(t) })
  t.after(() => host.stop())
  const guest = await createMesh({ ...common, name: 'guest', join: host.self.addresses })
  t.after(() => guest.stop())
  let notes = 0
  await host.serve(shop, {
    buy(item) {
      if (item === 'nothing') throw new ParleyError('STA001', 'there is none')
      return item
    },
    async *list(count) {
      for (let n = 0; n < count; n += 1) yield n
    },
    note() {
      notes += 1
    },
  })
  const told: string[] = []
  guest.notifications.on('*', ({ name }) => void told.push(name))
  const heard: unknown[] = []
  await Promise.all([guest.joined(), guest.notifications.ready(), host.coordinator.found()])
  await guest.events.subscribe('tasks.#', ({ data }) => void heard.push(data))
  await until('the coordinator is known', () => guest.coordinator.status().leader === host.self.id)
  const before = { host: await scrape(host), guest: await scrape(guest) }

  const client = guest.to(host.self.id, shop)
  for (let n = 0; n < 40; n += 1) await client.buy('tea')
  for (let n = 0; n < 3; n += 1) assert.ok(isParleyError(await failureOf(client.buy('nothing')), 'STA001'))
  for await (const _ of client.list(5));
  for (let n = 0; n < 20; n += 1) await client.note('one way')
  for (let n = 0; n < 30; n += 1) await host.events.publish('tasks.done', { n })
  for (const name of ['one', 'two']) await host.notifications.broadcast(name)
  await until('all of it arrived', () => heard.length === 30 && told.length === 2 && notes === 20)

  const after = { host: await scrape(host), guest: await scrape(guest) }
  const grew = (who: 'host' | 'guest', series: string): number =>
    (after[who].get(series) ?? Number.NaN) - (before[who].get(series) ?? 0)
  // What the mesh says of itself is counted too: a little in these few moments, and less than the 20 without an answer.
  for (const [who, direction] of [
    ['host', 'outbound'],
    ['guest', 'inbound'],
  ] as const) {
    const responses = grew(who, `${direction} RESPONSE ok`)
    assert.ok(responses >= 41 && responses < 61, `${who}: ${responses} responses`)
    assert.ok(grew(who, `${direction} RESPONSE error`) >= 3)
    const events = grew(who, `${direction} EVENT ok`)
    assert.ok(events >= 30 && events < 40, `${who}: ${events} events`)
    assert.equal(grew(who, `${direction} NOTIFICATION ok`), 2)
    assert.ok(grew(who, `${direction} BATCH ok`) >= 1)
  }
  assert.equal(grew('guest', 'outbound NOTIFICATION ok'), 0)
  // A request is what it was: one for each call, by how it ended.
  assert.ok(grew('host', 'inbound REQUEST ok') >= 61)
  assert.equal(grew('host', 'inbound REQUEST STA001'), 3)
})

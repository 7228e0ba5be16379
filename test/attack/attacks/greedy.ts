/** One member that takes more than its part: slots, verdicts on gossip, places in the directory, the journal's room. A6. */
import { randomBytes } from 'node:crypto'
import { setTimeout as delay, setImmediate as turn } from 'node:timers/promises'
import { encode } from 'cborg'
import type { Attack, Run } from '../attack.ts'
import { openTown } from '../members/town.ts'
import { CONTENT, KIND, LONGEST_MS } from '../raw/frames.ts'
import { batchBytes, gossipTopic, inventSigner, recordBytes } from '../raw/signed.ts'
import { asMember, count, type Scene } from './scene.ts'

const PROBE = '/parley/probe/1'
const DIRECTORY = '/parley/directory/1'
const EXCHANGES = 6_000
const LINKS = 6
const SETTLE_MS = 1_000
const GHOSTS = 1_500
const GHOSTS_AT_ONCE = 50
const LISTED_MS = 5_000
const ANY_CALLS = 10
const ANY_MS = 2_000
const NESTED_BYTES = 4_000_000
const FLOOD_AT_ONCE = 32
/** A peer whose gossip was refused so often and is still connected is never cut off. */
const PATIENCE = 5_000

const fillSlots = async ({ attacker, connection, tried }: Scene): Promise<void> => {
  for (let i = 0; i < LINKS; i += 1) {
    const link = await attacker.link(connection, PROBE)
    for (let n = 0; n < EXCHANGES / LINKS; n += 1) {
      const long = { timeoutMs: LONGEST_MS }
      if (n % 3 === 2) link.tell({ ...long, method: 'hold', payload: JSON.stringify({ tag: `${i}/${n}` }) })
      else link.tell({ ...long, method: 'count', payload: JSON.stringify({ to: 1e9, bytes: 1 }), credit: 1 })
      count(tried, 'exchanges')
      if (n % 100 === 0) await turn()
    }
  }
  await delay(SETTLE_MS)
}

const slots: Attack = {
  name: 'slots',
  line: 'A6',
  by: 'member',
  about: `${EXCHANGES} streams with a credit of one item, and calls that are never answered, due in 24 days`,
  play: ({ seconds }: Run) => asMember(() => delay(seconds * 1_000), { begin: fillSlots }),
}

/** What no honest node sends: a signature that is none, a record that nobody signed, bytes that are nothing. */
const badGossip = async ({ town, attacker }: Scene, n: number): Promise<{ topic: string; bytes: Uint8Array }> => {
  if (n % 8 === 6) return { topic: `parley/${town.mesh}/agents.presence`, bytes: randomBytes(600) }
  if (n % 8 === 7) return { topic: gossipTopic(town.mesh, 'attack'), bytes: randomBytes(300) }
  const events = [{ topic: 'attack.tick', data: { n } }]
  const plan = { mesh: town.mesh, word: 'attack', epoch: 1, first: n + 1, events, signature: randomBytes(64) }
  return { topic: gossipTopic(town.mesh, 'attack'), bytes: await batchBytes(attacker.signer, plan) }
}

const gossipFlood: Attack = {
  name: 'gossip-flood',
  line: 'A6',
  by: 'member',
  about: 'gossip whose signatures are wrong, as much as goes',
  play: ({ seconds }: Run) =>
    asMember(async (scene) => {
      const { attacker, town, victim, tried, reached } = scene
      const { gossip } = attacker.libp2p.services
      const endsAt = performance.now() + seconds * 1_000
      let connection = scene.connection
      let isCut = false
      for (let n = 0; performance.now() < endsAt; ) {
        if (connection.status !== 'open') {
          isCut = true
          count(tried, 'times disconnected')
          await delay(100)
          const again = await attacker.member(victim.address(), town.secret).catch(() => undefined)
          if (again === undefined) continue
          count(tried, 'times let in again')
          connection = again
        }
        const many = Array.from({ length: FLOOD_AT_ONCE }, async () => {
          n += 1
          const { topic, bytes } = await badGossip(scene, n)
          const { recipients } = await gossip.publish(topic, bytes)
          count(tried, 'messages sent', recipients.length)
        })
        await Promise.allSettled(many)
        await turn()
      }
      if (!isCut && (tried['messages sent'] ?? 0) > PATIENCE) {
        reached.push(`it sent ${tried['messages sent']} bad messages and was never cut off`)
      }
    }),
}

const directory: Attack = {
  name: 'invented-agents',
  line: 'A6',
  by: 'member',
  about: `${GHOSTS} signed records of agents that do not exist, then a true agent joins`,
  play: () =>
    asMember(
      async ({ town, victim, attacker, connection, tried, reached }) => {
        const link = await attacker.link(connection, DIRECTORY)
        for (let from = 0; from < GHOSTS; from += GHOSTS_AT_ONCE) {
          const records = await Promise.all(
            Array.from({ length: GHOSTS_AT_ONCE }, async (_, i) => {
              const plan = { name: `ghost-${from + i}`, addresses: [], offers: 'probe' }
              return { ...(await recordBytes(await inventSigner(), town.mesh, plan)), ageMs: 0 }
            }),
          )
          link.tell({
            kind: KIND.oneWay,
            method: 'push',
            payload: encode({ records }),
            content: CONTENT.cbor,
            timeoutMs: 2_000,
          })
          count(tried, 'invented agents', GHOSTS_AT_ONCE)
          await delay(20)
        }
        await delay(500)
        await town.add('true-agent')
        const endsAt = performance.now() + LISTED_MS
        let names: readonly string[] = []
        while (!names.includes('true-agent') && performance.now() < endsAt) {
          names = await victim.ask('agents')
          await delay(100)
        }
        const ghosts = names.filter((name) => name.startsWith('ghost-')).length
        count(tried, 'listed of them', ghosts)
        if (!names.includes('true-agent')) reached.push('a true agent is not listed')
        // They say that they offer what honest agents offer: whoever asks any of them must not wait for ghosts.
        let failed = 0
        for (let i = 0; i < ANY_CALLS; i += 1) if ((await victim.ask('callAny', ANY_MS)) !== undefined) failed += 1
        count(tried, 'calls to any', ANY_CALLS)
        if (failed > 0)
          reached.push(`${failed} of ${ANY_CALLS} calls to any agent went to ghosts and failed within ${ANY_MS} ms`)
      },
      { isTimed: false },
    ),
}

const nestedJson = (bytes: number): string => `${'['.repeat(bytes / 2)}${']'.repeat(bytes / 2)}`
const nestedObjects = (bytes: number): string => `${'{"a":'.repeat(bytes / 6)}1${'}'.repeat(bytes / 6)}`
/** CBOR: an array of one, again and again. */
const nestedCbor = (bytes: number): Uint8Array => Buffer.concat([Buffer.alloc(bytes - 1, 0x81), Buffer.from([0])])
/** CBOR: tags on tags. */
const nestedTags = (bytes: number): Uint8Array => Buffer.concat([Buffer.alloc(bytes - 1, 0xc1), Buffer.from([0])])
const MIB = 2 ** 20

const nesting: Attack = {
  name: 'nesting',
  line: 'A6',
  by: 'member',
  about: `${NESTED_BYTES / 1e6} MB of nested JSON and CBOR as requests, and nested events`,
  play: () =>
    asMember(async ({ town, attacker, connection, tried }) => {
      const probe = await attacker.link(connection, PROBE)
      const records = await attacker.link(connection, DIRECTORY)
      const payloads = [nestedJson(NESTED_BYTES), nestedObjects(NESTED_BYTES)]
      for (let round = 0; round < 3; round += 1) {
        for (const nested of payloads) {
          await probe.ask('echo', `{"text":${nested}}`, { limitMs: 3_000 })
          await probe.ask('echo', nested, { limitMs: 3_000 })
          count(tried, 'JSON', 2)
        }
        for (const payload of [nestedCbor(NESTED_BYTES), nestedTags(NESTED_BYTES)]) {
          await probe.ask('echo', payload, { content: CONTENT.cbor, limitMs: 3_000 })
          await records.ask('sync', payload, { content: CONTENT.cbor, limitMs: 3_000 })
          count(tried, 'CBOR', 2)
        }
        const events = [{ topic: 'attack.tick', data: nestedJson(MIB - 2_000) }]
        const batch = await batchBytes(attacker.signer, {
          mesh: town.mesh,
          word: 'attack',
          epoch: 1,
          first: round + 1,
          events,
        })
        await attacker.libp2p.services.gossip.publish(gossipTopic(town.mesh, 'attack'), batch).catch(() => {})
        count(tried, 'events')
      }
      await delay(1_000)
    }),
}

const RECORD_BYTES = 200_000
const MOST_RECORDS = 400
const PUT_MS = 8_000

const journalRoom: Attack = {
  name: 'journal-room',
  line: 'A6',
  by: 'member',
  about: `up to ${MOST_RECORDS} records of ${RECORD_BYTES / 1e3} kB, until the journal has no room for anybody`,
  async play() {
    const town = await openTown({ voters: 1 })
    try {
      const [voter] = town.members
      if (voter === undefined) throw new Error('there is no voter')
      const honest = await town.add('honest')
      const attacker = await town.attacker()
      const connection = await attacker.member(voter.address(), town.secret)
      const link = await attacker.link(connection, '/parley/journal/1')
      const { meshId } = await voter.ask('status')
      const tried = { 'records kept': 0, 'records refused': 0 }
      const value = 'x'.repeat(RECORD_BYTES)
      for (let i = 0; i < MOST_RECORDS && tried['records refused'] < 10; i += 1) {
        const input = { key: `greedy/${i}`, value }
        const body = { meshId, kind: 'record.put', session: 0, serial: 0, acked: 0, input }
        const answer = await link.json('submit', body, { limitMs: PUT_MS }).catch(() => ({ ok: false }))
        if (Reflect.get(Object(answer), 'ok') === true) tried['records kept'] += 1
        else tried['records refused'] += 1
      }
      const failed = await honest.ask('put', { key: 'honest', value, withinMs: PUT_MS })
      return {
        tried,
        refused: await voter.refusals(),
        reached: failed === undefined ? [] : [`an honest record has no room any more: ${failed}`],
      }
    } finally {
      await town.end()
    }
  },
}

export const greedy: readonly Attack[] = [slots, gossipFlood, directory, nesting, journalRoom]

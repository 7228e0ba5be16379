/** One member that has others keep for it what it never takes: answers, places at a relay. Issue 16, A6. */
import { networkInterfaces } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import type { Connection } from '@libp2p/interface'
import type { Attack } from '../attack.ts'
import { grown, type Member } from '../members/member.ts'
import { openTown } from '../members/town.ts'
import { lengthPrefixed, readFields, readVarint } from '../raw/bytes.ts'
import { asMember, count, type Scene } from './scene.ts'

const PROBE = '/parley/probe/1'
const LINKS = 40
const STREAMS_A_LINK = 40
const ITEM_BYTES = 1_000_000
const MOST_CREDIT = 1_000_000

/** Asks for much on many links and reads none of them: what this node is told for it waits there. */
const askAndLeave = async ({ attacker, connection, tried }: Scene): Promise<void> => {
  for (let i = 0; i < LINKS; i += 1) {
    const link = await attacker.link(connection, PROBE)
    link.stream.pause()
    for (let n = 0; n < STREAMS_A_LINK; n += 1) {
      const payload = JSON.stringify({ to: 1e9, bytes: ITEM_BYTES })
      link.tell({ method: 'count', payload, credit: MOST_CREDIT, timeoutMs: 600_000 })
      count(tried, 'streams that nobody reads')
    }
    await delay(20)
  }
}

const unreadAnswers: Attack = {
  name: 'unread-answers',
  line: 'A6',
  by: 'member',
  about: `${LINKS * STREAMS_A_LINK} streams of items of ${ITEM_BYTES / 1e6} MB on ${LINKS} links, none of which is read`,
  // It takes the processor to make them, of which other bounds are.
  play: ({ seconds }) =>
    asMember(
      async (scene) => {
        await askAndLeave(scene)
        await delay(seconds * 1_000)
      },
      { isTimed: false },
    ),
}

const HOP = '/libp2p/circuit/relay/0.2.0/hop'
/** `type: RESERVE`, which is 0 and has to be there. */
const RESERVE = lengthPrefixed(Uint8Array.of(0x08, 0x00))
const STATUS_FIELD = 5
const GRANTED = 100
const PLACES = 16
const IDENTITIES = 24
const ASKED_BY_ONE = 100
const ANSWER_MS = 3_000
const PLACE_MS = 10_000

/** @returns the relay's status; 0 where it did not answer */
const reserve = async (connection: Connection): Promise<number> => {
  const stream = await connection.newStream(HOP, { signal: AbortSignal.timeout(ANSWER_MS) })
  const { promise, resolve } = Promise.withResolvers<number>()
  let heard: Uint8Array = new Uint8Array(0)
  stream.addEventListener('message', ({ data }) => {
    heard = Buffer.concat([heard, data instanceof Uint8Array ? data : data.subarray()])
    const length = readVarint(heard, 0)
    if (length !== undefined && heard.length >= length.end + length.value)
      resolve(readFields(heard.subarray(length.end)).number(STATUS_FIELD))
  })
  stream.addEventListener('close', () => resolve(0))
  stream.send(RESERVE)
  const status = await promise
  stream.abort(new Error('it was answered'))
  return status
}

/** How many relays it has a place at. */
const placesOf = async (member: Member): Promise<number> => {
  const text = await (await fetch(`${member.facts().debugUrl}/metrics`)).text()
  return Number(/^(?:parley_)?relay_places(?:\{[^}]*\})? (\d+)/m.exec(text)?.[1] ?? 0)
}

/** Beyond the machine, as a relay sees guests: on loopback it does not tell them apart. */
const ownAddress = (): string | undefined => {
  const all = Object.values(networkInterfaces()).flatMap((some = []) => some)
  return all.find(({ family, internal }) => family === 'IPv4' && !internal)?.address
}

const relayPlaces: Attack = {
  name: 'relay-places',
  line: 'A6',
  by: 'member',
  about: `${ASKED_BY_ONE} places for one identity, and one for each of ${IDENTITIES}, at a relay that has ${PLACES}`,
  async play({ say }) {
    const ip = ownAddress()
    if (ip === undefined) {
      say('this machine has no address beyond itself, by which a relay tells guests apart')
      return { tried: {}, refused: {}, reached: [] }
    }
    const town = await openTown()
    try {
      const relay = await town.add('relay', {
        listen: ['/ip4/0.0.0.0/tcp/0'],
        discovery: { relay: { serve: true, maxReservations: PLACES } },
      })
      const { id } = relay.facts()
      const port = /\/tcp\/(\d+)/.exec(relay.address())?.[1] ?? ''
      const at = (host: string): string => `/ip4/${host}/tcp/${port}/p2p/${id}`
      const refusedBefore = await relay.refusals()
      const tried = { 'asked by one': 0, identities: 0, 'places taken': 0 }
      for (let n = 0; n < IDENTITIES; n += 1) {
        const attacker = await town.attacker()
        const connection = await attacker.member(at(ip), town.secret)
        for (let again = 0; n === 0 && again < ASKED_BY_ONE; again += 1) {
          await reserve(connection)
          tried['asked by one'] += 1
        }
        tried.identities += 1
        if ((await reserve(connection)) === GRANTED) tried['places taken'] += 1
      }
      const honest = await town.add('honest', {
        join: [at('127.0.0.1')],
        discovery: { relay: { use: 'always' } },
      })
      const endsAt = performance.now() + PLACE_MS
      while ((await placesOf(honest)) === 0 && performance.now() < endsAt) await delay(100)
      return {
        tried,
        refused: grown(refusedBefore, await relay.refusals()),
        reached: (await placesOf(honest)) > 0 ? [] : ['an honest member got no place at the relay'],
      }
    } finally {
      await town.end()
    }
  },
}

export const hoarding: readonly Attack[] = [unreadAnswers, relayPlaces]

/** A member that lies about who waits for whom, and one that asks about it without end. W1, W2. */
import { randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import { decode, encode } from 'cborg'
import type { Attack } from '../attack.ts'
import { openTown } from '../members/town.ts'
import { CONTENT } from '../raw/frames.ts'
import type { Link } from '../raw/link.ts'
import { asMember, count } from './scene.ts'

const RELAY = '/parley/relay/1'
const WAITS = '/parley/waits/1'
const ROUND_MS = 12_000
/** Longer than a request has to wait unchanged. */
const STILL_MS = 800
const LIE_MS = 5_000

const newProbe = (): string => randomBytes(16).toString('hex')
const callsOf = (input: unknown): string[] => {
  const calls: unknown = Reflect.get(Object(input), 'calls')
  return Array.isArray(calls) ? calls.map(String) : []
}
const probeBytes = (probe: string, calls: readonly string[]): Uint8Array => encode({ probe, calls })
const askWaits = (link: Link, calls: readonly string[]) =>
  link.ask('probe', probeBytes(newProbe(), calls), { content: CONTENT.cbor, timeoutMs: 1_500, limitMs: 2_000 })
const passOn = (to: string): string => JSON.stringify({ route: [{ to, method: 'back' }] })

/** Requests in line that an answer tells of. */
const queuedOf = (payload: Uint8Array | undefined): string[] => {
  const waits: unknown = payload === undefined ? [] : Reflect.get(Object(decode(payload)), 'waits')
  const all = Array.isArray(waits) ? waits : []
  return all
    .filter((wait: unknown) => Reflect.get(Object(wait), 'queued') === true)
    .map((wait: unknown) => String(Reflect.get(Object(wait), 'id')))
}

const liar: Attack = {
  name: 'waits-liar',
  line: 'W1',
  by: 'member',
  about: 'takes a slot, learns the key of an honest request that waits for it, and says that it waits for that request',
  async play({ seconds }) {
    const town = await openTown()
    try {
      const limits = { maxActive: 1 }
      const victim = await town.add('victim', { limits })
      const honest = await town.add('honest', { limits })
      const caller = await town.add('caller')
      const attacker = await town.attacker()
      const slots = `slots:${victim.facts().id}`
      const named = new Set<string>()
      const tried: Record<string, number> = {}
      const reached: string[] = []
      await attacker.serve(RELAY, () => undefined)
      const lie = (_: string, input: unknown): unknown => {
        const on = named.size === 0 ? [slots] : [...named]
        count(tried, named.size === 0 ? 'lies' : 'lies that name requests of others')
        const made = [...named].map((id) => ({ id, on: [slots], queued: true }))
        return { blocked: true, waits: [...callsOf(input).map((id) => ({ id, on })), ...made] }
      }
      await attacker.serve(WAITS, lie, CONTENT.cbor)
      const toVictim = await attacker.member(victim.address(), town.secret)
      const toHonest = await attacker.member(honest.address(), town.secret)
      const endsAt = performance.now() + seconds * 1_000
      do {
        const hold = await attacker.link(toVictim, RELAY)
        hold.tell({ method: 'pass', payload: passOn(attacker.id), timeoutMs: ROUND_MS })
        await delay(STILL_MS / 4)
        const order = { to: honest.facts().id, next: victim.facts().id, withinMs: ROUND_MS }
        const passing = caller.ask('pass', order)
        await delay(STILL_MS / 4)
        const inLine = await attacker.link(toHonest, RELAY)
        inLine.tell({ method: 'back', payload: '{"route":[]}', timeoutMs: ROUND_MS })
        await delay(STILL_MS)
        const own = `${inLine.session}.1`
        const { payload } = await askWaits(await attacker.link(toHonest, WAITS), [own])
        for (const key of queuedOf(payload)) if (key !== own) named.add(key)
        count(tried, 'keys of others that it learned', named.size)
        inLine.stream.abort(new Error('it leaves the line'))
        await delay(LIE_MS)
        hold.stream.abort(new Error('it gives the slot back'))
        named.clear()
        const failed = await passing
        count(tried, 'honest requests')
        if (failed?.includes('deadlock') === true) reached.push(`an honest request gave way: ${failed}`)
        else if (failed !== undefined) reached.push(`an honest request failed: ${failed}`)
      } while (performance.now() < endsAt)
      if (!(Number(tried['lies that name requests of others']) > 0)) throw new Error('it came to tell no lie')
      return { tried, refused: await victim.refusals(), reached }
    } finally {
      await town.end()
    }
  },
}

const HELD = 1_000
const MADE = 4_000
const AT_ONCE = 4

const flood: Attack = {
  name: 'waits-flood',
  line: 'W2',
  by: 'member',
  about: `has ${HELD} requests in work that wait for it, asks about all of them again and again, and answers with ${MADE} waits`,
  play: ({ seconds }) => {
    const keys: string[] = []
    const big = Array.from({ length: MADE }, (_, i) => ({ id: `made.${i}`, on: [`made.${i + 1}`, `made.${i + 2}`] }))
    return asMember(
      async ({ attacker, connection, tried }) => {
        const links = await Promise.all(Array.from({ length: 4 }, () => attacker.link(connection, WAITS)))
        const endsAt = performance.now() + seconds * 1_000
        while (performance.now() < endsAt) {
          for (const link of links)
            for (let i = 0; i < AT_ONCE; i += 1) {
              const calls = i % 4 === 0 ? Array.from({ length: 2_048 }, () => keys[0] ?? 'none.1') : keys
              link.tell({
                method: 'probe',
                payload: probeBytes(newProbe(), calls),
                content: CONTENT.cbor,
                timeoutMs: 1_500,
              })
              count(tried, 'questions')
            }
          await delay(100)
        }
      },
      {
        async begin({ attacker, connection, tried }) {
          await attacker.serve(RELAY, () => undefined)
          const told = (_: string, input: unknown) => {
            count(tried, 'questions that it was asked')
            return { blocked: true, waits: [...callsOf(input).map((id) => ({ id, on: ['made.0'] })), ...big] }
          }
          await attacker.serve(WAITS, told, CONTENT.cbor)
          const link = await attacker.link(connection, RELAY)
          for (let i = 1; i <= HELD; i += 1) {
            link.tell({ method: 'pass', payload: passOn(attacker.id), timeoutMs: 600_000 })
            keys.push(`${link.session}.${i}`)
          }
          await delay(2 * STILL_MS)
        },
      },
    )
  },
}

export const waitAttacks: readonly Attack[] = [liar, flood]

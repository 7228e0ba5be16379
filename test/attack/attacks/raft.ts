/** Forged messages between voters, of a member without a seat. Each kind against a sound mesh. Issue 16, A3. */
import { setTimeout as delay } from 'node:timers/promises'
import type { Attack, Findings } from '../attack.ts'
import { grown } from '../members/member.ts'
import { FORGED, openParliament, type Parliament } from '../members/parliament.ts'
import type { Attacker } from '../raw/attacker.ts'
import { createPretender, FORGERIES, type Known, type Pretender } from '../raw/pretender.ts'

const EVERY_MS = 100
const SETTLE_MS = 1_000
/** Each mesh that was broken costs a new one; beyond this, the rest is left out. */
const LIMIT_MS = 60_000

export interface Siege {
  readonly parliament: Parliament
  readonly pretender: Pretender
  readonly attacker: Attacker
  known(): Promise<Known>
}

/** A sound mesh, and a member of it that is connected with everybody and lies. */
export const openSiege = async (seatless: number): Promise<Siege> => {
  const parliament = await openParliament(seatless)
  const { town, voters, honest } = parliament
  try {
    const attacker = await town.attacker()
    for (const one of [...voters, ...honest]) await attacker.member(one.address(), town.secret)
    const pretender = createPretender(attacker, () => attacker.libp2p.getConnections())
    return {
      parliament,
      attacker,
      pretender,
      async known() {
        const { meshId = '', epoch, version, voters: ids } = await parliament.status()
        return { mesh: town.mesh, meshId, epoch, version, voters: ids, forged: FORGED }
      },
    }
  } catch (error) {
    await parliament.end()
    throw error
  }
}

/** After a restart of all, too. */
const aftermath = async (parliament: Parliament): Promise<string[]> => {
  await parliament.restart()
  return parliament.wrong()
}

const refusalsOfAll = async ({ voters }: Parliament): Promise<Record<string, number>> => {
  const all = await Promise.all(voters.map((one) => one.refusals().catch(() => ({}))))
  const sums: Record<string, number> = {}
  for (const [name, value] of all.flatMap((one) => Object.entries<number>(one))) sums[name] = (sums[name] ?? 0) + value
  return sums
}

/** A mesh that was broken is replaced before the next kind is tried. */
const forgedMessages: Attack = {
  name: 'forged-raft',
  line: 'A3',
  by: 'member',
  about: `${FORGERIES.length} kinds of forged messages to three voters while others decide, and a restart of all`,
  async play({ say }): Promise<Findings> {
    const tried: Record<string, number> = {}
    const reached: string[] = []
    let refused: Record<string, number> = {}
    let siege = await openSiege(2)
    let before = await refusalsOfAll(siege.parliament)
    let end = siege.parliament.begin()
    const renew = async (): Promise<void> => {
      refused = { ...refused, ...grown(before, await refusalsOfAll(siege.parliament)) }
      await siege.parliament.end()
      siege = await openSiege(2)
      before = await refusalsOfAll(siege.parliament)
      end = siege.parliament.begin()
    }
    try {
      const startedAt = performance.now()
      for (const { name, times, messages } of FORGERIES) {
        if (reached.length > 0 && performance.now() - startedAt > LIMIT_MS) {
          say(`${name} and what follows are not tried: too much is broken already`)
          break
        }
        for (let i = 0; i < times; i += 1) {
          const known = await siege.known()
          for (const message of messages(known, siege.pretender.memberId)) {
            await siege.pretender.step(known, message)
            tried[name] = (tried[name] ?? 0) + 1
          }
          await delay(EVERY_MS)
        }
        await delay(SETTLE_MS)
        const isLast = name === FORGERIES.at(-1)?.name
        const wrong = await siege.parliament.wrong()
        if (wrong.length === 0 && !isLast) continue
        if (isLast) {
          await end()
          wrong.push(...(wrong.length === 0 ? await aftermath(siege.parliament) : []))
        }
        for (const what of wrong) reached.push(`by ${name}: ${what}`)
        if (wrong.length > 0) say(`by ${name}: ${wrong[0]}`)
        if (!isLast) {
          // Whoever waits for an answer of a broken mesh is killed with it.
          void end().catch(() => {})
          await renew()
        }
      }
      refused = { ...refused, ...grown(before, await refusalsOfAll(siege.parliament)) }
      return { tried, refused, reached }
    } finally {
      void end().catch(() => {})
      await siege.parliament.end()
    }
  },
}

export const raft: readonly Attack[] = [forgedMessages]
export { refusalsOfAll }

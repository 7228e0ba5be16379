/**
 * A mesh of 3 voters and 5 others under forged events and forged messages, all restarted after it. Issue 16, "Must show":
 * journal intact, one coordinator, no forged record read, no write refused for longer than an election.
 */
import { setTimeout as delay } from 'node:timers/promises'
import type { Attack } from '../attack.ts'
import { grown } from '../members/member.ts'
import { FAR_TERM, FORGERIES } from '../raw/pretender.ts'
import { pretend } from './coordination.ts'
import { openSiege, refusalsOfAll } from './raft.ts'

const SEATLESS = 5
const EVERY_MS = 100

export const besieged: Attack = {
  name: 'besieged-mesh',
  line: 'A2, A3',
  by: 'member',
  about: `3 voters and ${SEATLESS} others under forged epochs and forged messages of voters, then a restart of all`,
  async play({ seconds, say }) {
    const siege = await openSiege(SEATLESS)
    const { parliament, pretender } = siege
    const tried: Record<string, number> = {}
    const end = parliament.begin()
    try {
      const before = await refusalsOfAll(parliament)
      let known = await siege.known()
      await pretender.lie(() => known, FAR_TERM)
      const endsAt = performance.now() + seconds * 1_000
      for (let i = 0; performance.now() < endsAt; i += 1) {
        known = await siege.known()
        const forgery = FORGERIES[i % FORGERIES.length]
        for (const message of forgery?.messages(known, pretender.memberId) ?? []) {
          await pretender.step(known, message)
          tried['forged messages'] = (tried['forged messages'] ?? 0) + 1
        }
        if (i % 3 === 0) await pretend(siege, known, tried)
        await delay(EVERY_MS)
      }
      const reached = await parliament.wrong()
      say(`${parliament.acknowledged.size} decisions acknowledged under attack; all are restarted`)
      const refused = grown(before, await refusalsOfAll(parliament))
      if (reached.length === 0) {
        await end()
        await parliament.restart()
        reached.push(...(await parliament.wrong()))
      }
      tried['decisions acknowledged'] = parliament.acknowledged.size
      return { tried, refused, reached }
    } finally {
      void end().catch(() => {})
      await parliament.end()
    }
  },
}

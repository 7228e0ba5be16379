/** One member says that it coordinates: forged events, answers to `where`, notifications and their fences. Issue 16, A2. */
import { setTimeout as delay } from 'node:timers/promises'
import type { Attack } from '../attack.ts'
import { grown } from '../members/member.ts'
import { FAR_TERM, HIGHEST, type Known } from '../raw/pretender.ts'
import { openSiege, refusalsOfAll, type Siege } from './raft.ts'

const EVERY_MS = 250

/** Every kind of it once. */
export const pretend = async ({ pretender }: Siege, known: Known, tried: Record<string, number>): Promise<void> => {
  for (const epoch of [known.epoch, known.epoch + 1, FAR_TERM, HIGHEST]) {
    await pretender.announce(known, epoch)
    await pretender.announce(known, epoch, { seats: known.voters.map((id) => id.split('.')[0] ?? '') })
    await pretender.notify(known, epoch)
    tried['forged epochs'] = (tried['forged epochs'] ?? 0) + 2
    tried['forged notifications'] = (tried['forged notifications'] ?? 0) + 1
  }
}

export const coordination: readonly Attack[] = [
  {
    name: 'false-coordinator',
    line: 'A2',
    by: 'member',
    about:
      'a member announces that it coordinates, answers to `where` so, and serves forged records to who believes it',
    async play({ seconds }) {
      const siege = await openSiege(2)
      const { parliament, pretender, attacker } = siege
      const tried: Record<string, number> = {}
      try {
        let known = await siege.known()
        const before = await refusalsOfAll(parliament)
        await pretender.lie(() => known, FAR_TERM)
        const end = parliament.begin()
        const endsAt = performance.now() + seconds * 500
        while (performance.now() < endsAt) {
          known = await siege.known()
          await pretend(siege, known, tried)
          await delay(EVERY_MS)
        }
        // One that knows nobody yet, and is answered by the attacker first.
        const late = await parliament.town.add('honest-late', { coordination: { voter: 'never' } })
        await attacker.member(late.address(), parliament.town.secret)
        for (let i = 0; i < 8; i += 1) {
          await pretend(siege, known, tried)
          await delay(EVERY_MS)
        }
        const found = await late.ask('get', { key: 'honest/1', withinMs: 5_000 })
        const { leader } = await late.ask('status')
        void end().catch(() => {})
        const reached = await parliament.wrong()
        if (leader === attacker.id) reached.push('a latecomer follows a false coordinator')
        if ('value' in found && found.value !== 'value 1')
          reached.push(`a latecomer read ${JSON.stringify(found.value)} where "value 1" was decided`)
        if ('failed' in found) reached.push(`a latecomer could not read: ${found.failed.slice(0, 160)}`)
        const refused = grown(before, await refusalsOfAll(parliament))
        return { tried, refused, reached }
      } finally {
        await parliament.end()
      }
    },
  },
]

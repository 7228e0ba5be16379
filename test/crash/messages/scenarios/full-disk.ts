/**
 * The disk of a node has no room any more while messages flow: it says so and is not ready, what it acknowledged is not
 * lost, nothing becomes a dead letter for it, and it goes on by itself once there is room.
 */
import { setTimeout as delay } from 'node:timers/promises'
import { timed, until } from '../../../support/until.ts'
import type { SmallDisk } from '../../small-disk.ts'
import type { Party } from '../parties.ts'
import type { MessageFindings } from '../play.ts'
import { type MessageStage, RECEIVER, SENDER } from '../stage.ts'
import type { KindName } from '../streams.ts'

const COUNT = 1_500
const PER_SECOND = 150
const FLOWS_MS = 1_500
/** Longer than it takes until a message that is late is given up (`ACK_MS` and the pauses, 4 attempts). */
const FULL_MS = 15_000
export const ACK_MS = 1_000
const READY_MS = 45_000
const KINDS: readonly KindName[] = ['c', 'w', 'u', 'p', 'q']
const ABOUT_ROOM = /room|space|full/i

const readiness = async (party: Party): Promise<{ status: number; reasons: string }> => {
  const { status, body } = await party.ask('look', '/readyz')
  return { status, reasons: body }
}

/** @param disk of one of the nodes */
export const fullDisk =
  (disk: SmallDisk, whose: typeof SENDER | typeof RECEIVER) =>
  async (stage: MessageStage): Promise<MessageFindings> => {
    const violations: string[] = []
    const [sender, receiver, party] = [SENDER, RECEIVER, whose].map((name) => stage.party(name))
    if (sender === undefined || receiver === undefined || party === undefined) throw new Error('there are two nodes')
    const seed = stage.random.below(2 ** 31)
    const running = sender.ask('send', {
      phase: 'a',
      count: COUNT,
      seed,
      peers: [receiver.id],
      life: sender.lives,
      kinds: KINDS,
      perSecond: PER_SECOND,
    })
    await delay(FLOWS_MS)
    const before = (await sender.ask('load')).sent
    if (before === 0) violations.push('nothing was sent before')
    await disk.fill()
    const { ms: noticedMs } = await timed(() =>
      until('it is not ready', async () => (await readiness(party)).status === 503, READY_MS, 20),
    )
    const { reasons } = await readiness(party)
    if (!ABOUT_ROOM.test(reasons)) violations.push(`/readyz of ${whose} says ${reasons}`)
    await delay(FULL_MS)
    const { refused } = await sender.ask('load')
    const codes = Object.keys(refused)
    const wrongCodes = codes.filter((code) => code !== 'STA003 disk-full' && code !== 'COM003')
    if (wrongCodes.length > 0) violations.push(`sends failed with ${wrongCodes.join(', ')}`)
    if (whose === SENDER && !codes.includes('STA003 disk-full'))
      violations.push(`sends on a full disk failed with ${codes.join(', ') || 'nothing'}`)
    await disk.makeRoom()
    const { ms: readyMs } = await timed(() =>
      until('it is ready again', async () => (await readiness(party)).status === 200, READY_MS, 50),
    )
    await running
    const drainMs = await stage.drained()
    const { figures, wrong } = await stage.judge()
    return {
      figures: {
        ...figures,
        'sent before': before,
        'not ready after, ms': noticedMs,
        'sends refused': Object.values(refused).reduce((sum, n) => sum + n, 0),
        'ready again, ms': readyMs,
        'drained, ms': drainMs,
      },
      violations: [...violations, ...wrong],
    }
  }

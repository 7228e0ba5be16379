/**
 * A node is set back: a copy of its data directory takes the place of it, while more was sent and delivered since. What
 * the copy still holds and was delivered is not delivered again; what is sent from then on arrives. For the receiver: what
 * it forgot is told, and nothing counts twice in what it remembers.
 */
import { cp, readFile, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { StartRefused } from '../../nodes.ts'
import { repairMessages } from '../mending.ts'
import type { Party } from '../parties.ts'
import type { MessageFindings } from '../play.ts'
import { sending } from '../sending.ts'
import { type MessageStage, RECEIVER, SENDER } from '../stage.ts'
import type { KindName } from '../streams.ts'

const COUNT = 600
const HELD = 200
const PER_SECOND = 1_000
/** Those that the state of the nodes alone tells of: files beside it do not go back in time. */
const KINDS: readonly KindName[] = ['c', 'w', 'u']

const backUp = (party: Party): Promise<string> => {
  const to = join(dirname(party.dataDir), `backup-${party.name}-${party.lives}`)
  return cp(party.dataDir, to, { recursive: true }).then(() => to)
}

/** As a person does it: what is there is put aside, and the copy is copied to its place. */
const restore = async (party: Party, backup: string): Promise<void> => {
  await rename(party.dataDir, join(dirname(party.dataDir), `before-${party.lives}-${basename(backup)}`))
  await cp(backup, party.dataDir, { recursive: true })
  await rm(join(party.dataDir, 'lock'), { recursive: true, force: true })
}

/** Files that were copied while they were written may not belong together. @returns whether it had to be mended */
const startRestored = async (party: Party): Promise<boolean> => {
  try {
    await party.start()
    return false
  } catch (error) {
    if (!(error instanceof StartRefused) || error.refusal.reason !== 'damaged') throw error
  }
  await repairMessages(party.dataDir)
  await party.start()
  return true
}

const logged = async (party: Party, what: RegExp): Promise<boolean> => what.test(await readFile(party.logFile, 'utf8'))

export interface RestorePlan {
  /** The copy is taken while the node runs and sends. */
  readonly whileRunning: boolean
  /** The same copy takes its place once more at the end. */
  readonly isTwice?: boolean
}

/** The sender goes back. */
export const restoredSender =
  ({ whileRunning, isTwice = false }: RestorePlan) =>
  async (stage: MessageStage): Promise<MessageFindings> => {
    const [sender, receiver] = [stage.party(SENDER), stage.party(RECEIVER)]
    const violations: string[] = []
    const send = (phase: string, messages: number, perSecond?: number) =>
      sender.ask('send', {
        phase,
        count: messages,
        seed: stage.random.below(2 ** 31),
        peers: [receiver.id],
        life: sender.lives,
        kinds: KINDS,
        ...(perSecond !== undefined && { perSecond }),
      })
    await send('a', COUNT)
    await receiver.kill()
    // Held at the time of the backup, and delivered after it.
    await send('b', HELD)
    let backup: string
    if (whileRunning) {
      const running = send('c', COUNT, PER_SECOND)
      await receiver.start()
      backup = await backUp(sender)
      await running
    } else {
      await sender.kill()
      backup = await backUp(sender)
      await sender.start()
      await receiver.start()
      await send('c', COUNT)
    }
    await stage.drained()
    await receiver.kill()
    // On the disk that is thrown away, and nowhere else.
    await send('d', HELD)
    await sender.kill()
    await restore(sender, backup)
    const isMended = await startRestored(sender)
    await send('e', HELD)
    await receiver.start()
    await stage.drained()
    await send('f', COUNT)
    await stage.drained()
    if (isTwice) {
      await sender.kill()
      await restore(sender, backup)
      await startRestored(sender)
      await send('g', COUNT)
      await stage.drained()
    }
    const { counts } = await sender.ask('figures')
    if ((counts.renumbered ?? 0) === 0 && (counts.sessions ?? 0) === 0) violations.push('the sender greeted nobody')
    if (!(await logged(sender, /another one than before|restored from a backup|were repaired/)))
      violations.push('the log of the sender does not say that it was set back')
    // What was sent after the copy is unknown to the sender that came back, and may be at the receiver; the answers that it
    // got after the copy it has forgotten.
    const since = isTwice ? /-[cdef]\./ : /-[cd]\./
    const answers = isTwice ? /^R\.r\.S-[a-f]\./ : /^R\.r\.S-[abcd]\./
    // Delivered under numbers of the first copy that took the place: the second one cannot know, and says so.
    const isUnknown = (stream: string): boolean => isTwice && /^S-[ab]\./.test(stream)
    const { figures, wrong } = await stage.judge({
      mayMiss: (stream, _, at) => since.test(stream) || (at === SENDER && answers.test(stream)),
      mayDie: isUnknown,
    })
    if (isTwice && figures.dead === 0) violations.push('what may have been delivered is not among the dead letters')
    return {
      figures: { ...figures, renumbered: counts.renumbered ?? 0, mended: Number(isMended) },
      violations: [...violations, ...wrong],
    }
  }

/** The receiver goes back. */
export const restoredReceiver = async (stage: MessageStage): Promise<MessageFindings> => {
  const receiver = stage.party(RECEIVER)
  const violations: string[] = []
  const send = sending(stage, KINDS)
  await send('a', COUNT)
  await stage.drained()
  await receiver.kill()
  const backup = await backUp(receiver)
  await receiver.start()
  await send('b', COUNT)
  await stage.drained()
  await receiver.kill()
  await send('c', HELD)
  await restore(receiver, backup)
  await startRestored(receiver)
  await send('d', COUNT)
  await stage.drained()
  const { counts } = await receiver.ask('figures')
  const forgotten = counts.forgotten ?? 0
  if (forgotten < COUNT) violations.push(`the receiver forgot ${COUNT} messages at least, and counts ${forgotten}`)
  if (!(await logged(receiver, /does not remember/))) violations.push('its log does not say that it forgot anything')
  // Its answers to what it forgot are at the sender all the same.
  const { figures, wrong } = await stage.judge({ mayMiss: (stream) => stream.includes('-b.') })
  if (figures.missedAllowed !== COUNT && violations.length === 0)
    violations.push(`${figures.missedAllowed} messages are forgotten, and not ${COUNT}`)
  return { figures: { ...figures, forgotten }, violations: [...violations, ...wrong] }
}

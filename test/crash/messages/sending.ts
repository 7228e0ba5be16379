/** What most scenarios do first: the sender sends so many messages of these kinds to the receiver. */
import { type MessageStage, RECEIVER, SENDER } from './stage.ts'
import type { KindName } from './streams.ts'

export const sending = (stage: MessageStage, kinds: readonly KindName[]) => (phase: string, count: number) => {
  const [sender, receiver] = [stage.party(SENDER), stage.party(RECEIVER)]
  const seed = stage.random.below(2 ** 31)
  return sender.ask('send', { phase, count, seed, peers: [receiver.id], life: sender.lives, kinds })
}

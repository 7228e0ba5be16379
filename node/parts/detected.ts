/** What the failure detector believes of peers, in the words of parts. Keeps no state. */
import type { Stop } from '../../protocols/port.ts'
import type { Detected } from '../../protocols/task/scheduler/worker-presence.ts'
import type { FailureDetection } from './failure-detection.ts'

const DETECTED = { alive: 'there', suspect: 'suspect', dead: 'gone', left: 'left' } as const

export const detectedBy = (presence: Pick<FailureDetection, 'statusOf' | 'onChange'>) => ({
  presenceOf: (peer: string): Detected => DETECTED[presence.statusOf(peer)],
  onPresence: (fn: (peer: string, is: Detected) => void): Stop =>
    presence.onChange(({ peer, status }) => fn(peer, DETECTED[status])),
})

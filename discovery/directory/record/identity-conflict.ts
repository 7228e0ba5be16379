/**
 * Records of this identity that this process did not write: an earlier life left them, or a second process has the key.
 *
 * State: the highest one that is not answered yet. Guarantees at most one answer a period, so that two living processes
 * with one key disturb the mesh no more than that.
 */
import type { Port } from '../../../protocols/port.ts'
import { compareVersions, type RecordVersion } from './agent-record.ts'

export const createIdentityConflict = (
  port: Pick<Port, 'clock' | 'log' | 'self'>,
  periodMs: number,
  exceed: (v: RecordVersion) => void,
) => {
  let claimed: RecordVersion | undefined
  let lastMs = Number.NEGATIVE_INFINITY
  const settle = (): void => {
    const nowMs = port.clock.monotonic()
    if (claimed === undefined || nowMs - lastMs < periodMs) return
    if (lastMs === Number.NEGATIVE_INFINITY) {
      port.log.warn('a record of this identity that this process did not write; writing a newer one', {
        source: port.self.id,
        hint: 'harmless once after a restart; if it goes on, another process uses the same identity key: stop one',
      })
    }
    lastMs = nowMs
    exceed(claimed)
    claimed = undefined
  }
  const add = (version: RecordVersion): void => {
    if (claimed === undefined || compareVersions(version, claimed) > 0) claimed = version
    settle()
  }
  return { add, settle }
}

/**
 * Who hears of changes in the directory: functions of this process. A listener that throws is counted and logged, and
 * does not keep the others from hearing.
 */
import type { Port, Stop } from '../../protocols/port.ts'
import type { Change } from './tables/agent-change.ts'

export const createChangeListeners = (port: Pick<Port, 'log'>, failed: () => void) => {
  const listeners = new Set<(change: Change) => void>()
  return {
    add: (fn: (change: Change) => void): Stop => {
      const listener = (change: Change) => fn(change)
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    clear: (): void => listeners.clear(),
    emit: (changes: readonly Change[]): void => {
      for (const change of changes) {
        for (const listener of listeners) {
          try {
            listener(change)
          } catch (error) {
            failed()
            port.log.error('a listener of the directory failed', { original_error: String(error) })
          }
        }
      }
    },
  }
}

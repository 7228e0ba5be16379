/**
 * A file of lines, each synced before it is answered; those that wait together go in one write and one sync.
 * State: the lines that wait. The plainest durable thing that a program can do.
 */
import { open } from 'node:fs/promises'

export interface SyncedLog {
  /** Resolves once the line is on the disk. */
  add(line: string): Promise<void>
  close(): Promise<void>
}

export const openSyncedLog = async (path: string): Promise<SyncedLog> => {
  const file = await open(path, 'a')
  let waiting: { line: string; done: PromiseWithResolvers<void> }[] = []
  let writing: Promise<void> | undefined
  const write = async (): Promise<void> => {
    while (waiting.length > 0) {
      const batch = waiting
      waiting = []
      try {
        await file.write(`${batch.map(({ line }) => line).join('\n')}\n`)
        await file.datasync()
        for (const { done } of batch) done.resolve()
      } catch (error) {
        for (const { done } of batch) done.reject(error)
      }
    }
    writing = undefined
  }
  return {
    add: (line) => {
      const done = Promise.withResolvers<void>()
      waiting.push({ line, done })
      writing ??= write()
      return done.promise
    },
    close: async () => {
      await writing
      await file.close()
    },
  }
}

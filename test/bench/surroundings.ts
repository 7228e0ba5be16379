/** What the process of an end has round it: its directory, free ports, and the driver that must know what it starts. */
import { once } from 'node:events'
import { createServer } from 'node:net'
import type { Announcement } from './processes.ts'

/** A directory of this bench run; the driver removes it at the end. */
export const benchDirectory = (): string => {
  const directory = process.env.PARLEY_BENCH_DIRECTORY
  if (directory === undefined) throw new Error('an end is started by the bench, never by hand')
  return directory
}

/** Tells the driver about a program started here, so that it is ended even when this process is killed. */
export const announce = (pid: number | undefined): void => {
  if (pid !== undefined) process.send?.({ owns: pid } satisfies Announcement)
}

/** A loopback port that was free a moment ago, for programs that cannot be asked which one they took. */
export const freePort = async (): Promise<number> => {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new Error('no loopback port is free')
  return address.port
}

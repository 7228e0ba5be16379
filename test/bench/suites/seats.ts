/** Seats of a journal in processes of their own, started together, killed and started again where they were. */
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { z } from 'zod'
import type { End } from '../processes.ts'
import type { StartEnd } from '../suite.ts'
import { freePort } from '../surroundings.ts'

const START_LIMIT_MS = 60_000

export interface SeatProcess {
  readonly name: string
  readonly port: number
  readonly directory: string
  end: End
  address: string
}

/** Starts one, beside those that are given. */
const begin = (seat: SeatProcess, count: number, others: readonly SeatProcess[]): Promise<string> =>
  seat.end.ask(
    'start',
    {
      name: seat.name,
      count,
      seeds: others.map(({ address }) => address),
      directory: seat.directory,
      port: seat.port,
    },
    z.string(),
    START_LIMIT_MS,
  )

export const startSeats = async (start: StartEnd, count: number): Promise<SeatProcess[]> => {
  const root = await mkdtemp(join(process.env.PARLEY_BENCH_DIRECTORY ?? tmpdir(), 'seats-'))
  const seats: SeatProcess[] = []
  for (let i = 0; i < count; i += 1) {
    const name = `seat-${i}`
    const seat = { name, port: await freePort(), directory: join(root, name), end: start('seat'), address: '' }
    seat.address = await begin(seat, count, seats)
    seats.push(seat)
  }
  return seats
}

export const restart = async (seat: SeatProcess, start: StartEnd, all: readonly SeatProcess[]): Promise<void> => {
  seat.end = start('seat')
  seat.address = await begin(
    seat,
    all.length,
    all.filter((other) => other !== seat),
  )
}

export const leaderOf = async (seats: readonly SeatProcess[]): Promise<SeatProcess | undefined> => {
  const leads = await Promise.all(
    seats.map(({ end }) => end.ask('leads', null, z.boolean(), START_LIMIT_MS).catch(() => false)),
  )
  return seats.find((_, i) => leads[i] === true)
}

export const connect = async (start: StartEnd, seats: readonly SeatProcess[]): Promise<End> => {
  const decider = start('decider')
  await decider.ask(
    'start',
    seats.map(({ address }) => address),
    z.null(),
    START_LIMIT_MS,
  )
  return decider
}

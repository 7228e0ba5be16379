/** One thread of the simulator: runs its share of the seeds until one fails. */
import { parentPort, workerData } from 'node:worker_threads'
import type { Share } from './jobs.ts'
import { runSeeds } from './run-seeds.ts'

// Written by jobs.ts.
const share = workerData as Share
parentPort?.postMessage(await runSeeds(share))

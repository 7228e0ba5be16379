/** For `node --import`: a process of a test that speaks QUIC. */
import { useQuic } from './quic.ts'

useQuic()

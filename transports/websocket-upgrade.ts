/** Where the work of `ws` ends: it shakes hands, checks what is said there, and leaves the socket to us. */
import type { Socket } from 'node:net';
import { WebSocket } from 'ws';

export class UpgradedWebSocket extends WebSocket {
  /** There after `open`. */
  upgraded: { readonly socket: Socket; readonly head: Buffer } | undefined;

  /** Called by `ws` on both sides when the hands are shaken; its own would read the socket from now on. */
  setSocket(socket: Socket, head: Buffer): void {
    socket.setTimeout(0);
    socket.setNoDelay(true);
    this.upgraded = { socket, head };
    this.emit('open');
  }
}

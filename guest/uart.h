/* The part of the 16550A that a guest needs to print (National Semiconductor PC16550D data sheet, 8.4). */
#ifndef STASIS_GUEST_UART_H
#define STASIS_GUEST_UART_H

#define UART_LSR       5      /* offset of the line status register */
#define UART_LSR_THRE  0x20   /* the transmitter takes a byte */
#define UART_POLLS_MAX 100000 /* a UART that never takes one is written to all the same */

#endif

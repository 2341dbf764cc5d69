/* The 64-bit entry point (boot.rst, "64-bit Boot Protocol"), 0x200 bytes into the payload.
 *
 * On entry: 64-bit mode, the payload mapped one to one. Everything else is what will be checked, so
 *   nothing is changed before it is saved. Before anything is saved, the tail after the file is
 *   checked: all of it must be zero.
 * On exit: own stack and GDT; the rest of the tail zero, whatever it was; RDI = what was saved; in
 *   tell, never to return.
 * Until tell has its own IDT, an NMI goes through the purgatory's; it runs on whatever stack there
 * is.
 */
    .section .text.entry, "ax", @progbits
    .global payload_start
    .hidden payload_start
    .type payload_start, @function
payload_start:
    /* No register is free yet: only arithmetic flags change, which nobody promises. */
    .set    word, 0
    .rept   {STATE_WORDS}
    cmpq    $0, entry_state + 8 * word(%rip)
    jne     1f
    .set    word, word + 1
    .endr
    movq    $0, entry_state + {DIRTY}(%rip)
    jmp     2f
1:  movq    $1, entry_state + {DIRTY}(%rip)
2:
    movq    %rax, entry_state + {RAX}(%rip)
    movq    %rcx, entry_state + {RCX}(%rip)
    movq    %rdx, entry_state + {RDX}(%rip)
    movq    %rbx, entry_state + {RBX}(%rip)
    movq    %rsp, entry_state + {RSP}(%rip)
    movq    %rbp, entry_state + {RBP}(%rip)
    movq    %rsi, entry_state + {RSI}(%rip)
    movq    %rdi, entry_state + {RDI}(%rip)
    movq    %r8, entry_state + {R8}(%rip)
    movq    %r9, entry_state + {R9}(%rip)
    movq    %r10, entry_state + {R10}(%rip)
    movq    %r11, entry_state + {R11}(%rip)
    movq    %r12, entry_state + {R12}(%rip)
    movq    %r13, entry_state + {R13}(%rip)
    movq    %r14, entry_state + {R14}(%rip)
    movq    %r15, entry_state + {R15}(%rip)

    /* The rest of the tail, before a stack is put into it. */
    leaq    entry_state + {STATE_LEN}(%rip), %rax
    leaq    __image_end(%rip), %rcx
3:  cmpq    $0, (%rax)
    jne     4f
    addq    $8, %rax
    cmpq    %rcx, %rax
    jne     3b
    xorl    %eax, %eax
4:  movq    %rax, entry_state + {NOT_ZERO}(%rip)

    leaq    __stack_top(%rip), %rsp
    pushfq
    popq    entry_state + {RFLAGS}(%rip)
    cli
    cld
    leaq    entry_state + {STATE_LEN}(%rip), %rdi
    leaq    __image_end(%rip), %rcx
    subq    %rdi, %rcx
    shrq    $3, %rcx
    xorl    %eax, %eax
    rep stosq

    movl    %cs, %eax
    movq    %rax, entry_state + {CS}(%rip)
    movl    %ds, %eax
    movq    %rax, entry_state + {DS}(%rip)
    movl    %es, %eax
    movq    %rax, entry_state + {ES}(%rip)
    movl    %ss, %eax
    movq    %rax, entry_state + {SS}(%rip)
    movl    %fs, %eax
    movq    %rax, entry_state + {FS}(%rip)
    movl    %gs, %eax
    movq    %rax, entry_state + {GS}(%rip)
    movq    %cr0, %rax
    movq    %rax, entry_state + {CR0}(%rip)
    movq    %cr3, %rax
    movq    %rax, entry_state + {CR3}(%rip)
    movq    %cr4, %rax
    movq    %rax, entry_state + {CR4}(%rip)
    movq    %dr0, %rax
    movq    %rax, entry_state + {DR0}(%rip)
    movq    %dr1, %rax
    movq    %rax, entry_state + {DR0} + 8(%rip)
    movq    %dr2, %rax
    movq    %rax, entry_state + {DR0} + 16(%rip)
    movq    %dr3, %rax
    movq    %rax, entry_state + {DR0} + 24(%rip)
    movq    %dr7, %rax
    movq    %rax, entry_state + {DR7}(%rip)
    /* Off in CR4 and, if CR0 is what it must be, on in CR0. */
    movq    entry_state + {CR4}(%rip), %rax
    orq     ${CR4_OSFXSR}, %rax
    movq    %rax, %cr4
    movq    $0, entry_state + {MXCSR}(%rip)
    stmxcsr entry_state + {MXCSR}(%rip)
    movq    entry_state + {CR4}(%rip), %rax
    movq    %rax, %cr4
    movl    ${MSR_EFER}, %ecx
    rdmsr
    shlq    $32, %rdx
    orq     %rdx, %rax
    movq    %rax, entry_state + {EFER}(%rip)
    movq    $0, entry_state + {GDTR} - 6(%rip)
    movq    $0, entry_state + {IDTR} - 6(%rip)
    sgdt    entry_state + {GDTR}(%rip)
    sidt    entry_state + {IDTR}(%rip)

    /* Our own, so that exceptions of ours are reported even if the one that was left is not what
     * it should be. */
    subq    $16, %rsp
    movw    $(gdt_end - gdt - 1), 6(%rsp)
    leaq    gdt(%rip), %rax
    movq    %rax, 8(%rsp)
    lgdt    6(%rsp)
    addq    $16, %rsp
    movl    ${BOOT_DS}, %eax
    movl    %eax, %ds
    movl    %eax, %es
    movl    %eax, %ss
    movl    %eax, %fs
    movl    %eax, %gs
    pushq   ${BOOT_CS}
    leaq    5f(%rip), %rax
    pushq   %rax
    lretq
5:
    leaq    entry_state(%rip), %rdi
    xorl    %ebp, %ebp
    call    {tell}
    ud2

    .section .rodata.gdt, "a", @progbits
    /* Flat; accessed bits set, so that the CPU need not write to what may be sealed. */
    .balign 16
gdt:
    .quad   0
    .quad   0
    .quad   0x00af9b000000ffff          /* 0x10: 64-bit code, readable */
    .quad   0x00cf93000000ffff          /* 0x18: data, writable */
gdt_end:

    .section .bss.entry, "aw", @nobits
    .balign 8
entry_state:
    .skip   {STATE_LEN}
    .text
